"""What a client says of itself does not leave its line in our log lines, nor move the cursor of who reads them."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest
from e2e_gunicorn import gunicorn
from e2e_uvicorn import APP as ASGI_APP
from e2e_uvicorn import uvicorn
from hangup import logfilter
from hangup._demo.server import wait_until
from hangup._logs import filter as books
from hangup._logs import summary
from hangup._websocket.packets import Malformed
from hangup.testing import connect
from raising import raised_through
from socketio_app import APP

ESCAPES = "\x1b[2J\x1b[31m"
UPGRADE = (
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def test_the_access_log_line_of_a_websocket(tmp_path: Path) -> None:
    """gunicorn's own parser lets an ESC in a header through, before 22."""
    pytest.importorskip("socketio")
    stack = ["-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4", "--access-logfile", "-"]
    with gunicorn(tmp_path, *stack, app=APP, version="21.2.0", MODE="threading") as server:
        server.ask()
        with connect(("127.0.0.1", server.port)) as client:
            head = f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nUser-Agent: spy{ESCAPES}\r\n{UPGRADE}\r\n"
            client.sendall(head.encode())
            assert b" 101 " in client.recv(4096)
        assert wait_until(lambda: "websocket code=" in server.log, 10), server.log
    (line,) = [line for line in server.log.splitlines() if "websocket code=" in line]
    assert "spy\\x1b[2J\\x1b[31m" in line
    assert "\x1b" not in line


def test_uvicorns_line_of_a_native_websocket(tmp_path: Path) -> None:
    """Its address is what a trusted proxy repeats of its words. All parsers let eight-bit controls through."""
    pytest.importorskip("uvicorn")
    with uvicorn(tmp_path, app=ASGI_APP) as server:
        server.ask()
        with connect(("127.0.0.1", server.port)) as client:
            head = f"GET /echo?a=1 HTTP/1.1\r\nX-Forwarded-For: spy\x85\x9b2J\r\n{UPGRADE}\r\n"
            client.sendall(head.encode("latin-1"))
            assert b" 101 " in client.recv(4096)
            assert wait_until(lambda: "[accepted]" in server.log, 10), server.log
    (line,) = [line for line in server.log.splitlines() if "[accepted]" in line]
    assert "spy\\x85\\x9b2J" in line


def test_what_a_server_prints_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """Its path is in it, decoded."""
    caplog.set_level(logging.DEBUG, "hangup.eventlet")
    logfilter.install("demote", summary_every=0)
    try:
        try:
            raise raised_through(BrokenPipeError(errno.EPIPE, "x"), ("eventlet.websocket", "close"))
        except BrokenPipeError as error:
            error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
            text = f"server=x//a{ESCAPES}\x00\u202e client=y socket shutdown error: {error}\nGET /forged"
            assert books.hear("hangup.eventlet", text, None)
    finally:
        logfilter.uninstall()
        summary.every(None)
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert "\\x1b[2J" in record.getMessage()
    assert "forged" not in record.getMessage()


def test_a_session_and_what_it_sent(caplog: pytest.LogCaptureFixture) -> None:
    """An identifier may be the application's, made of whatever the client said."""
    from types import SimpleNamespace

    from hangup._websocket.packets import refusing

    caplog.set_level(logging.DEBUG)

    def stock(_sid: str, _data: object) -> None:
        raise Malformed(f"no packet: {ESCAPES}\r\n")

    server = SimpleNamespace(eio=SimpleNamespace(sockets={}), _binary_packet={})
    refusing(server, stock)(f"sid{ESCAPES}\n", "x")
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert "sid\\x1b[2J\\x1b[31m\\n" in record.getMessage()
