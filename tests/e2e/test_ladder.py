"""One after the other, at once, and in a burst: every client is served, by a gthread worker with four threads and by a
sync worker. Stock, a sync worker serves one.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from raw_websocket import REQUEST, answer, begin_session, frame, until
from test_websocket import IDS, STACKS, serve, settled

socketio = pytest.importorskip("socketio")

EVERY_STACK = pytest.mark.parametrize("stack", [STACKS[0], STACKS[3]], ids=[IDS[0], IDS[3]])
EVERY_WAY = pytest.mark.parametrize("transports", [["polling", "websocket"], ["websocket"]], ids="+".join)
SLOW = pytest.mark.slow  # the highest step is in every run
LADDER = pytest.mark.parametrize(
    "count", [*(pytest.param(count, marks=SLOW) for count in (10, 50, 100)), 150]
)
Stack = tuple[str, str, str, str, bool]


def rest(server: Gunicorn) -> dict[str, Any]:
    """What the service says of itself after its first client, which starts the engine."""
    begin_session(server.port).close()
    return settled(server, {"fds": 0}, 1)


def talk(server: Gunicorn, transports: list[str], number: int) -> None:
    """A real client that gets its own answer, over the last of its transports."""
    client = socketio.Client(reconnection=False)
    client.connect(f"http://127.0.0.1:{server.port}", transports=transports, wait_timeout=60)
    try:
        assert client.transport() == transports[-1]
        assert client.call("echo", number, timeout=60) == number
    finally:
        client.disconnect()


def check(server: Gunicorn, before: dict[str, Any], count: int) -> None:
    """All of them were here, and are gone; the worker is the same."""
    last = settled(server, before, 20)
    assert (last["connected"], last["disconnected"], last["twice"]) == (count + 1, count + 1, 0), last
    assert last["websockets"] == count + 1
    assert last["fds"] <= before["fds"]
    assert last["pid"] == before["pid"]
    assert server.log.count("Booting worker") == 1
    assert "Traceback" not in server.log


@pytest.mark.parametrize("count", [5, pytest.param(50, marks=SLOW)])
@EVERY_WAY
@EVERY_STACK
def test_one_after_the_other(tmp_path: Path, stack: Stack, transports: list[str], count: int) -> None:
    """A worker that is stuck with its first client serves no second."""
    with serve(tmp_path, stack) as server:
        before = rest(server)
        for number in range(count):
            talk(server, transports, number)
        check(server, before, count)


@LADDER
@EVERY_WAY
@EVERY_STACK
def test_all_at_once(tmp_path: Path, stack: Stack, transports: list[str], count: int, running: Any) -> None:
    """Each with a thread of its own."""
    with serve(tmp_path, stack) as server:
        before = rest(server)
        begin = threading.Barrier(count)

        def talk_at_once(number: int) -> None:
            begin.wait()
            talk(server, transports, number)

        clients = [running(talk_at_once, number) for number in range(count)]
        for client in clients:
            client.outcome(100)
        check(server, before, count)


@LADDER
@EVERY_WAY
@EVERY_STACK
def test_a_burst(tmp_path: Path, stack: Stack, transports: list[str], count: int) -> None:
    """All are connected, and then all requests are written: those to upgrade while each session's poll waits."""
    with serve(tmp_path, stack) as server, contextlib.ExitStack() as kept:
        before = rest(server)

        def write(requests: list[bytes]) -> list[socket.socket]:
            clients = [
                kept.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
                for _ in requests
            ]
            for client, request in zip(clients, requests):
                client.sendall(request)
            return clients

        if transports == ["websocket"]:
            clients = write([REQUEST + frame(b"40")] * count)
            for client in clients:
                until(client, b"40{")
        else:
            sids = []
            for client in write([poll(b"")] * count):
                sids.append(json.loads(answer(client)[1:])["sid"].encode())
            polls = write([poll(b"&sid=" + sid) for sid in sids])
            clients = write(
                [REQUEST.replace(b"EIO=4", b"EIO=4&sid=" + sid) + frame(b"2probe") for sid in sids]
            )
            for client in clients:
                until(client, b"3probe")
            for client in polls:
                assert answer(client) == b"6"
            for client in clients:
                client.sendall(frame(b"5") + frame(b"40"))
            for client in clients:
                until(client, b"40{")
        for number, client in enumerate(clients):
            client.sendall(frame(b'42["echo",%d]' % number))
        for number, client in enumerate(clients):
            until(client, b'42["echo",%d]' % number)
        kept.close()
        check(server, before, count)


def poll(session: bytes) -> bytes:
    """The request of a client that polls."""
    return (
        b"GET /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        % session
    )
