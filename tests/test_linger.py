"""The lingering close: the response arrives whole, the caller never waits, and nothing outlives the deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import hangup
import pytest
from hangup import _hangup
from hangup._demo.server import wait_until
from hangup._gunicorn.faces import ServerSocket

Pair = tuple[ServerSocket, socket.socket]


@pytest.fixture
def served() -> Iterator[Pair]:
    """A server's face of a connection, and its client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    server = ServerSocket(accepted.detach())
    with client:
        yield server, client
    server.close()
    assert _hangup.drain(5.0) == 0


def end(server: ServerSocket) -> float:
    """What gunicorn 26 and later do at the end; the seconds it took."""
    began = time.monotonic()
    server.setblocking(True)
    server.shutdown(socket.SHUT_WR)
    server.settimeout(2.0)
    assert server.recv(4096) == b""  # the wait is the engine's
    server.close()
    return time.monotonic() - began


def test_the_caller_never_waits_for_a_client_that_stays(served: Pair) -> None:
    """gunicorn would sit in recv for two seconds."""
    server, client = served
    number = server.fileno()
    assert end(server) < 0.5
    assert client.recv(1) == b""
    assert [row.kind for row in hangup.fds.snapshot() if row.fd == number] == ["lingering"]


def test_the_descriptor_returns_when_the_client_closes(served: Pair) -> None:
    """Long before the deadline."""
    server, client = served
    number = server.fileno()
    end(server)
    client.close()
    assert wait_until(lambda: not _hangup.owns(number), 1.0)


def test_the_descriptor_returns_at_the_deadline(served: Pair) -> None:
    """A client that neither closes nor sends is left after two seconds, and counted."""
    server, _ = served
    number = server.fileno()
    before = hangup.stats()["linger_expired"]
    end(server)
    assert wait_until(lambda: not _hangup.owns(number), 4.0)
    assert hangup.stats()["linger_expired"] == before + 1


def test_the_response_is_not_cut_short_by_an_unread_request(served: Pair) -> None:
    """A close with unread input would make the kernel send RST, which destroys what the client has not read."""
    server, client = served
    client.sendall(b"x" * 30_000)
    response = b"y" * 200_000
    server.sendall(response)
    end(server)
    client.sendall(b"x" * 10_000)
    received = b""
    while part := client.recv(65536):
        received += part
    assert received == response


def test_a_client_that_never_stops_sending_is_left_early(served: Pair) -> None:
    """After 64 KiB."""
    server, client = served
    number = server.fileno()
    end(server)
    client.settimeout(5)

    def send_for_ever() -> None:
        while True:
            client.sendall(b"x" * 65536)

    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever()
    assert not _hangup.owns(number)


def test_a_client_that_is_gone_already_costs_nothing(served: Pair) -> None:
    """No engine, no deadline."""
    server, client = served
    before = hangup.stats()["lingered"]
    client.close()
    assert wait_until(lambda: server.recv(1, socket.MSG_PEEK) == b"", 1.0)
    end(server)
    assert hangup.stats()["lingered"] == before
