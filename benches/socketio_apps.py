"""The Socket.IO services that are measured, in the words of their docs: ``echo`` is answered by an event, ``broadcast``
by ``news`` to everybody."""

from __future__ import annotations

import os
from typing import Any

import socketio

from ._stopwatch import Stopwatch

_MODE = os.environ.get("MODE", "threading")


class EachForItself(socketio.RedisManager):  # type: ignore[misc]
    """Listens in a way of its own, as far as hangup is concerned, which leaves those as they are."""

    def _listen(self) -> Any:
        return super()._listen()


def flask(**options: Any) -> Any:
    """Flask-SocketIO, as a WSGI application."""
    from flask import Flask
    from flask_socketio import SocketIO, emit

    app = Flask(__name__)
    server = SocketIO(app, async_mode=_MODE, **options)

    @server.on("echo")
    def echo(data: str) -> None:
        emit("echo", data)

    @server.on("broadcast")
    def broadcast(data: Any) -> None:
        emit("news", data, broadcast=True)

    @app.get("/")
    def ready() -> str:
        return "ready"

    return app


def queued() -> Any:
    """The same, with a message queue that each worker hears for itself, as python-socketio has it."""
    return flask(client_manager=EachForItself(os.environ["REDIS"]))


def budgeted(budget: int) -> Any:
    """The same, with so many bytes for what waits for each client."""
    from hangup.flask_socketio import NativeManager

    return flask(client_manager=NativeManager(policy="drop_oldest", budget=budget))


def timed() -> Any:
    """Flask-SocketIO that times each ``emit`` of a broadcast.

    ``/times`` gives what was measured since it was last asked. ``/count/CORE`` has a second thread count from then on,
    which shows for how long the interpreter lock is held.
    """
    from flask import Flask, jsonify
    from flask_socketio import SocketIO, emit

    app = Flask(__name__)
    server = SocketIO(app, async_mode="threading")
    stopwatch = Stopwatch()

    @server.on("echo")
    def echo(data: str) -> None:
        emit("echo", data)

    @server.on("broadcast")
    def broadcast(data: Any) -> None:
        with stopwatch.timing():
            emit("news", data, broadcast=True)

    @app.get("/")
    def ready() -> str:
        return "ready"

    @app.get("/times")
    def times() -> Any:
        return jsonify(stopwatch.take())

    @app.get("/count/<int:core>")
    def count(core: int) -> Any:
        stopwatch.count(core)
        return jsonify("counting")

    return app


def bare() -> Any:
    """python-socketio's server, as a WSGI application."""
    server = socketio.Server(async_mode=_MODE)

    @server.event
    def echo(sid: str, data: str) -> None:
        server.emit("echo", data, to=sid)

    @server.event
    def broadcast(_sid: str, data: Any) -> None:
        server.emit("news", data)

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

    @server.event
    async def broadcast(_sid: str, data: Any) -> None:
        await server.emit("news", data)

    return socketio.ASGIApp(server)
