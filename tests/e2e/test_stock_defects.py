"""What python-socketio does wrong by itself, shown on the stock stack, and gone with hangup."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup._demo.server import wait_until
from raw_websocket import REQUEST, begin_session, close_code, frame, until
from socketio_app import APP
from test_websocket import STACKS, serve

#: Adds an event that is emitted to everybody while its first recipient leaves, at the one moment that matters.
LEAVING = """
import sys

def leave_at_once(frame, event, arg):
    if frame.f_code.co_name == "check_ping_timeout" and not left:
        left.append(frame.f_locals["self"])
        leaving = threading.Thread(target=left[0].close, kwargs={"wait": False})
        leaving.start()
        leaving.join()

left = []

@server.event
def broadcast(sid):
    sys.settrace(leave_at_once)
    try:
        server.emit("news", "for everybody")
    finally:
        sys.settrace(None)
"""

pytestmark = [
    pytest.mark.parametrize("stack", [STACKS[0], STACKS[1]], ids=["newest", "oldest"]),
    pytest.mark.parametrize("mode", ["off", "on"], ids=["stock", "hangup"]),
]
Stack = tuple[str, str, str, str, bool]


@contextlib.contextmanager
def serving(directory: Path, stack: Stack, mode: str) -> Iterator[Gunicorn]:
    """With threads to spare: stock needs one for each client."""
    with serve(directory, stack, "--threads", "20", app=APP + LEAVING, HANGUP=mode) as server:
        yield server


def ask(server: Gunicorn, method: str, query: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of one request to Engine.IO."""
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request(method, f"/socket.io/?EIO=4&transport=polling{query}", body or None)
        response = connection.getresponse()
        return response.status, response.read()


def test_a_session_that_has_just_ended(tmp_path: Path, stack: Stack, mode: str) -> None:
    """``KeyError('Session is disconnected')`` and a 500 for what its client had sent meanwhile; a 400 says it."""
    with serving(tmp_path, stack, mode) as server:
        found = re.search(rb'"sid":"([^"]+)"', ask(server, "GET", "")[1])
        assert found is not None
        sid = "&sid=" + found[1].decode()
        assert ask(server, "POST", sid, b"1")[0] == 200
        status, _ = ask(server, "POST", sid, b'42["echo",1]')
        assert status == (500 if mode == "off" else 400)
        assert ("KeyError: 'Session is disconnected'" in server.log) == (mode == "off")
        assert ("Traceback" in server.log) == (mode == "off")


def test_a_session_that_never_was(tmp_path: Path, stack: Stack, mode: str) -> None:
    """On every way in: 400, and no traceback."""
    with serving(tmp_path, stack, mode) as server:
        for method in ("GET", "POST"):
            assert ask(server, method, "&sid=unknown")[0] == 400
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(REQUEST.replace(b"EIO=4", b"EIO=4&sid=unknown"))
            assert client.makefile("rb").readline().split()[1] == b"400"
        assert "Traceback" not in server.log


def test_a_client_that_leaves_during_a_broadcast(tmp_path: Path, stack: Stack, mode: str) -> None:
    """``SocketIsClosedError`` escapes the emit, and nobody behind the one who left is told; now they are."""
    with serving(tmp_path, stack, mode) as server, contextlib.ExitStack() as kept:
        _, told, asking = (kept.enter_context(begin_session(server.port)) for _ in range(3))
        asking.sendall(frame(b'42["broadcast"]') + frame(b'42["echo","after"]'))
        if mode == "on":
            until(told, b'42["news","for everybody"]')
            until(asking, b'42["echo","after"]')
            assert "Traceback" not in server.log
        else:
            until(asking, b'42["echo","after"]')
            assert wait_until(lambda: "SocketIsClosedError" in server.log, 10)
            told.settimeout(0)
            with pytest.raises(BlockingIOError):
                told.recv(100)


def test_what_is_no_packet_of_engine_io(tmp_path: Path, stack: Stack, mode: str) -> None:
    """The page of a 500 is written into the WebSocket; now a close frame with 1002."""
    with serving(tmp_path, stack, mode) as server, begin_session(server.port) as client:
        client.sendall(frame(b"abc"))
        if mode == "on":
            assert close_code(client) == 1002
            assert "Traceback" not in server.log
        else:
            assert b"500 Internal Server Error" in until(client, b"</html>")
            assert "Traceback" in server.log


def test_what_is_no_packet_of_socket_io(tmp_path: Path, stack: Stack, mode: str) -> None:
    """A traceback for each that a client cares to send; now its end."""
    with serving(tmp_path, stack, mode) as server, begin_session(server.port) as client:
        client.sendall(frame(b"4abc") * 10 + frame(b'42["echo","after"]'))
        if mode == "on":
            assert close_code(client) == 1002
            assert "Traceback" not in server.log
        else:
            until(client, b'42["echo","after"]')
            assert server.log.count("Traceback") == 10


def test_an_event_named_disconnect(tmp_path: Path, stack: Stack, mode: str) -> None:
    """Runs the ``disconnect`` handler of a client that is still there; now it ends it."""
    with serving(tmp_path, stack, mode) as server:
        last: dict[str, Any] = {}

        def disconnected(times: int) -> bool:
            last.update(server.ask())
            return bool(last["disconnected"] == times)

        with begin_session(server.port) as client:
            client.sendall(frame(b'42["disconnect"]') + frame(b'42["echo","after"]'))
            if mode == "on":
                assert close_code(client) == 1002
            else:
                until(client, b'42["echo","after"]')
                assert disconnected(1), last
        assert wait_until(lambda: disconnected(1 if mode == "on" else 2), 30), last
        assert last["twice"] == (0 if mode == "on" else 1)
