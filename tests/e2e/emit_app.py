"""A Flask-SocketIO service that runs what a test posts to it, in a request or in a handler, and clients that listen."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until

OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"

#: gunicorn, worker, Socket.IO's model, an old python-socketio instead of the installed one, HANGUP.
Stack = tuple[str, str, str, bool, str]
GTHREAD: Stack = ("27.0.1", "gthread", "threading", False, "on")
GEVENT: Stack = ("27.0.1", "gevent", "gevent", False, "on")
OLD_GTHREAD: Stack = ("21.2.0", "gthread", "threading", True, "on")
OLD_GEVENT: Stack = ("21.2.0", "gevent", "gevent", True, "on")
STOCK: Stack = ("27.0.1", "gthread", "threading", False, "off")
STACKS = [GTHREAD, GEVENT, OLD_GTHREAD, OLD_GEVENT, STOCK]

APP = """
import contextlib, json, os, random, threading, time
from flask import Flask, request
import flask_socketio
from flask_socketio import SocketIO, join_room, leave_room
import hangup, hangup.flask_socketio
from hangup import safe_emit

class OwnJson:
    @staticmethod
    def dumps(value, **options):
        return json.dumps(value, default=lambda other: f"<{type(other).__name__}>", **options)
    loads = staticmethod(json.loads)

options = json.loads(os.environ.get("OPTIONS", "{}"))  # an old Flask-SocketIO does not know today's sessions
if "MANAGER" in os.environ:
    name, arguments = json.loads(os.environ["MANAGER"])
    options["client_manager"] = getattr(hangup.flask_socketio, name)(**arguments)
if "OWN_JSON" in os.environ:
    options["json"] = OwnJson
app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["MODE"], cors_allowed_origins="*", manage_session=False, **options)
server = socketio.server
if "ADMIN" in os.environ:
    server.instrument(auth=False, mode=os.environ["ADMIN"], server_stats_interval=1)
kept = {}

def in_threads(count, function):
    tasks = [socketio.start_background_task(function, number) for number in range(count)]
    for task in tasks:
        task.join()

def execute(code):
    scope = {**globals(), "result": None}
    exec(code, scope)
    return scope["result"]

@app.post("/run")
def run():
    return json.dumps(execute(request.get_data(as_text=True)))

@app.get("/")
def facts():
    return {
        "pid": os.getpid(), "status": hangup.status()["integrations"].get("socketio"), **hangup.stats(),
        "sockets": sum(not one.closed for one in list(server.eio.sockets.values())),
        "engineio": __import__("engineio").__file__, "fds": len(os.listdir("/proc/self/fd")),
    }

@socketio.on("connect")
def connected(auth):
    if auth:
        join_room(auth["room"])

@socketio.on("run")
def run_in_handler(code):
    return execute(code)

@socketio.on("ask")
def ask(question):
    return flask_socketio.call("question", question, timeout=10)

@socketio.on("join")
def join(room):
    with contextlib.suppress(KeyError, ValueError):  # its client may have left
        join_room(room)

@socketio.on("leave")
def leave(room):
    leave_room(room)

@socketio.on("run", namespace="/chat")
def run_in_chat(code):
    return execute(code)
"""


class Client:
    """A Socket.IO client, and what it heard."""

    def __init__(self, server: Service, transports: tuple[str, ...] = ("websocket",), **options: Any) -> None:
        socketio = pytest.importorskip("socketio")
        self.heard: list[tuple[Any, ...]] = []
        kwargs = {"serializer": options.pop("serializer")} if "serializer" in options else {}
        self.socket = socketio.Client(reconnection=False, handle_sigint=False, **kwargs)
        self._start = self.socket.eio.start_background_task
        self.socket.eio.start_background_task = self._start_unless_it_is_a_packet
        namespaces = options.pop("namespaces", ["/"])
        for namespace in namespaces:
            self.socket.on("*", lambda event, *data: self.heard.append((event, *data)), namespace=namespace)
        self.socket.on("question", lambda question: f"{question}?")
        self.left = threading.Event()
        self.socket.on("disconnect", lambda *_: self.left.set())
        options = {"transports": list(transports), "wait_timeout": 10, **options}
        self.socket.connect(server.url, namespaces=namespaces, **options)

    def _start_unless_it_is_a_packet(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Each packet is stock handled in a thread of its own: in no order."""
        if target == self.socket._handle_eio_message:
            return target(*args, **kwargs)
        return self._start(target, *args, **kwargs)

    @property
    def sid(self) -> str:
        return str(self.socket.get_sid("/"))

    def call(self, event: str, *data: Any, namespace: str = "/") -> Any:
        return self.socket.call(event, data, namespace=namespace, timeout=20)

    def values(self, event: str) -> list[Any]:
        """What came with each ``event``."""
        return [heard[1] if len(heard) == 2 else heard[1:] for heard in list(self.heard) if heard[0] == event]


class Service:
    """The service, and its clients."""

    def __init__(self, server: Gunicorn, *, is_native: bool, is_old: bool) -> None:
        self.server = server
        self.is_old = is_old
        self.is_native = is_native
        self.clients: list[Client] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def run(self, code: str, **values: Any) -> Any:
        """What ``code`` leaves as ``result``, in a request."""
        code = "".join(f"{name} = {value!r}\n" for name, value in values.items()) + code
        request = urllib.request.Request(f"{self.url}/run", data=code.encode(), method="POST")
        request.add_header("Content-Type", "text/plain")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def client(self, *transports: str, **options: Any) -> Client:
        self.clients.append(Client(self, transports or ("websocket",), **options))
        return self.clients[-1]

    def empty(self) -> None:
        """Has everybody leave, and waits until the service knows."""
        while self.clients:
            self.clients.pop().socket.disconnect()
        assert wait_until(lambda: not self.server.ask()["sockets"], 10), self.server.log

    def everybody_has(self, clients: list[Client], event: str, count: int, seconds: float = 20) -> bool:
        return wait_until(lambda: all(len(client.values(event)) >= count for client in clients), seconds)


@contextlib.contextmanager
def serve(directory: Path, stack: Stack, *args: str, app: str = APP, **env: str) -> Iterator[Service]:
    """A gunicorn with one worker of the stack, which answers."""
    for name in ("flask_socketio", "websocket", "requests"):
        pytest.importorskip(name)
    version, worker, mode, old, hangup = stack
    if worker != "gthread":
        pytest.importorskip(worker)
    if old:
        if not (OLD / "ready").exists():
            pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
        for package in ("socketio", "engineio", "flask_socketio"):
            (directory / package).symlink_to(OLD / package)
    threads = ["--threads", "32"] if worker == "gthread" else []  # a stock client takes one
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, "--graceful-timeout", "3", *args]
    with gunicorn(directory, *chosen, app=app, version=version, MODE=mode, HANGUP=hangup, **env) as server:
        facts = server.ask()
        assert (str(directory) in facts["engineio"]) == old
        assert (facts["status"]["state"] if facts["status"] else "off") == hangup
        service = Service(server, is_native=hangup == "on", is_old=old)
        with pytest.MonkeyPatch.context() as patched:
            # python-engineio's client takes 16 packets at a time, but its server sends what there is
            patched.setattr("engineio.payload.Payload.max_decode_packets", 10_000)
            try:
                yield service
            finally:
                while service.clients:
                    service.clients.pop().socket.disconnect()


def ids(stack: Stack) -> str:
    version, worker, _, old, hangup = stack
    return "stock" if hangup == "off" else f"{worker}-{version}{'-old' if old else ''}"


def services(stacks: list[Stack], **env: str) -> list[Any]:
    """What a module's tests run on, as ``SERVICES`` of the module: one server for each stack."""
    marks = {stack: [pytest.mark.slow] * (stack in (STOCK, OLD_GEVENT)) for stack in stacks}
    return [pytest.param((stack, env), id=ids(stack), marks=marks[stack]) for stack in stacks]


def native_only(service: Service, what_stock_does: str) -> None:
    if not service.is_native:
        pytest.skip(f"stock {what_stock_does}")


def said(service: Service, clients: list[Client], code: str, **values: Any) -> list[list[Any]]:
    """What each client hears of ``code``, which emits ``news``."""
    for client in clients:
        client.heard.clear()
    service.run(code + "\nsocketio.emit('end')", **values)
    assert service.everybody_has(clients, "end", 1)
    return [client.values("news") for client in clients]
