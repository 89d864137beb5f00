"""A Socket.IO application of the capture, on python-socketio as it is without hangup."""

from __future__ import annotations

import os
import threading
from typing import Any

import recorder
import scenes
import socketio

mode = os.environ.get("CAPTURED_MODE", "threading")
server = socketio.Server(
    async_mode=mode,
    async_handlers=False,
    ping_interval=1,
    ping_timeout=1,
    logger=False,
    engineio_logger=False,
)
server.eio.logger.setLevel("WARNING")


@server.on("fail")  # type: ignore[misc]
def fail(sid: str, name: str) -> None:
    scenes.BUGS[name]()


@server.on("slow")  # type: ignore[misc]
def slow(sid: str) -> None:
    """Uses its session when that has ended."""
    eio_sid = server.manager.eio_sid_from_sid(sid, "/")
    left = threading.Event()
    while not server.eio.sockets[eio_sid].closed:
        left.wait(0.01)
    server.eio.get_session(eio_sid)


application: Any = socketio.WSGIApp(server)
recorder.start()
