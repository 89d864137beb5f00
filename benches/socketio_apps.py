"""The Socket.IO services that are measured: one event, ``echo``, answered by an event. In the words of their docs."""

from __future__ import annotations

import os
from typing import Any

import socketio

_MODE = os.environ.get("MODE", "threading")


def flask() -> Any:
    """Flask-SocketIO, as a WSGI application."""
    from flask import Flask
    from flask_socketio import SocketIO, emit

    app = Flask(__name__)
    server = SocketIO(app, async_mode=_MODE)

    @server.on("echo")
    def echo(data: str) -> None:
        emit("echo", data)

    @app.get("/")
    def ready() -> str:
        return "ready"

    return app


def bare() -> Any:
    """python-socketio's server, as a WSGI application."""
    server = socketio.Server(async_mode=_MODE)

    @server.event
    def echo(sid: str, data: str) -> None:
        server.emit("echo", data, to=sid)

    def ready(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [b"ready"]

    return socketio.WSGIApp(server, ready)


def asyncio() -> Any:
    """python-socketio's asynchronous server, as an ASGI application."""
    server = socketio.AsyncServer(async_mode="asgi")

    @server.event
    async def echo(sid: str, data: str) -> None:
        await server.emit("echo", data, to=sid)

    return socketio.ASGIApp(server)
