"""Flask-SocketIO behind a guarded gunicorn, with python-socketio's real client: nothing may get worse."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import gunicorn

socketio = pytest.importorskip("socketio")
pytest.importorskip("flask_socketio")
pytest.importorskip("websocket")

APP = """
import os
from flask import Flask
from flask_socketio import SocketIO, emit
app = Flask(__name__)
server = SocketIO(app, async_mode=os.environ["MODE"], cors_allowed_origins="*")
@server.on("echo")
def echo(data):
    emit("echo", data)
@app.route("/")
def facts():
    import hangup
    return {"pid": os.getpid(), **hangup.stats()}
"""

STACKS = [
    ("21.2.0", "gthread", "threading", ""),
    ("27.0.1", "gthread", "threading", ""),
    ("27.0.1", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "gevent", "geventwebsocket"),
    ("25.3.0", "eventlet", "eventlet", "eventlet"),
]


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"], ["polling"]], ids="+".join)
@pytest.mark.parametrize(("version", "worker", "mode", "needs"), STACKS)
def test_every_message_comes_back_and_every_descriptor_is_returned(
    tmp_path: Path, version: str, worker: str, mode: str, needs: str, transports: list[str]
) -> None:
    """Text, large text and binary, on each transport, with clients that leave politely and abruptly."""
    if needs:
        pytest.importorskip(needs)
    args = ["-c", "python:hangup.gunicorn", "-k", worker] + (
        ["--threads", "30"] if worker == "gthread" else []
    )
    with gunicorn(tmp_path, *args, app=APP, version=version, MODE=mode) as server:
        before = server.ask()
        for leaves_politely in (True, False):
            echo(server.port, transports, leaves_politely)
        last: dict[str, Any] = {}

        def all_returned() -> bool:
            last.update(server.ask())
            return bool(last["open"] <= before["open"])

        assert server.wait_until(all_returned, 15), last
        assert "Traceback" not in server.log
        assert "Errno 9" not in server.log


def echo(port: int, transports: list[str], leaves_politely: bool) -> None:
    """Sends three payloads and waits for each."""
    client = socketio.Client(reconnection=False)  # or else one that left abruptly comes back
    arrived = threading.Event()
    received: list[object] = []

    def on_echo(data: object) -> None:
        received.append(data)
        arrived.set()

    client.on("echo", on_echo)
    client.connect(f"http://127.0.0.1:{port}", transports=transports, wait_timeout=10)
    try:
        for payload in ("x", "y" * 200_000, b"\x00\xff" * 40_000):
            arrived.clear()
            client.emit("echo", payload)
            assert arrived.wait(10)
            assert received[-1] == payload
        if not leaves_politely and client.eio.ws is not None:
            with client.eio.ws.sock as left:
                left.shutdown(socket.SHUT_RDWR)
    finally:
        client.disconnect()
        client.eio.http and client.eio.http.close()
