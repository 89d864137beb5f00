"""A Socket.IO service in a guarded gunicorn, and real clients of it, for the tests of the control socket."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Optional

import pytest
import socketio
from e2e_gunicorn import Gunicorn
from hangup._control import NobodyAnswers, ask
from hangup._demo.server import wait_until

APP = """
import ctypes, json, os, time
import socketio
server = socketio.Server(async_mode=os.environ["MODE"], cors_allowed_origins="*")

@server.event
def connect(sid, environ, auth=None):
    if auth:
        server.enter_room(sid, auth["room"])

left = []

@server.event
def disconnect(sid, *reason):
    left.append(sid)

def busy(seconds):  # in Python
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))

def locked(seconds):  # with the interpreter's lock
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))

def facts(environ, start_response):
    path, _, seconds = environ["PATH_INFO"].strip("/").partition("/")
    said = {"slow": time.sleep, "busy": busy, "locked": locked}.get(path, lambda _: None)(float(seconds or 0))
    known = {"pid": os.getpid(), "left": left, "fds": len(os.listdir("/proc/self/fd"))}
    body = json.dumps(known).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, facts)
"""

#: gunicorn, worker class, Socket.IO's model.
Stack = tuple[str, str, str]
STACKS: list[Stack] = [
    ("27.0.1", "gthread", "threading"),
    ("27.0.1", "gevent", "gevent"),
    ("21.2.0", "gthread", "threading"),
    ("21.2.0", "gevent", "gevent"),
]
SYNC: Stack = ("27.0.1", "sync", "threading")
EVENTLET: Stack = ("25.3.0", "eventlet", "eventlet")


class Service:
    """A gunicorn, what its workers say, and its clients."""

    def __init__(self, directory: Path, stack: Stack, workers: int = 1, **env: str) -> None:
        version, worker, mode = stack
        pytest.importorskip(worker if worker in ("gevent", "eventlet") else "gunicorn")
        arguments = ["-k", worker, "-w", str(workers), "--threads", "8", "--graceful-timeout", "30"]
        command = "-m gunicorn -c python:hangup.gunicorn"
        self.gunicorn = Gunicorn(
            directory, *arguments, app=APP, version=version, command=command, MODE=mode, **env
        )
        self.pid = int(self.gunicorn.ask()["pid"])
        self.port = self.gunicorn.port
        self.clients: list[socketio.Client] = []

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Asks the worker that there was at first."""
        return ask(self.pid, verb, timeout=20, **arguments)

    def get(self, path: str = "/") -> dict[str, Any]:
        """What the application says of itself."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close"})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found

    def client(self, transport: str, room: Optional[str] = None) -> socketio.Client:
        """A Socket.IO client that is connected."""
        client = socketio.Client(reconnection=False)
        client.connect(
            f"http://127.0.0.1:{self.port}",
            transports=[transport],
            auth={"room": room} if room else None,
            wait_timeout=20,
        )
        self.clients.append(client)
        return client

    def workers(self) -> list[int]:
        """Those that answer."""
        master = self.gunicorn.process.pid
        with open(f"/proc/{master}/task/{master}/children") as file:
            children = [int(pid) for pid in file.read().split()]
        return [pid for pid in children if answers(pid)]

    def end(self) -> None:
        polling = [one.eio.sid for one in self.clients if one.connected and one.transport() == "polling"]
        for pid in self.workers() if polling else ():
            ask(pid, "close", sids=polling)  # else their clients wait for the end of their polls
        for client in self.clients:
            client.disconnect()
            client.shutdown()
        if self.gunicorn.process.poll() is None:
            self.gunicorn.end()


def answers(pid: int) -> bool:
    """Whether a process has a control socket, and answers."""
    try:
        return bool(ask(pid, "status", timeout=5)["pid"])
    except NobodyAnswers:
        return False


@contextlib.contextmanager
def serve(directory: Path, stack: Stack, workers: int = 1, **env: str) -> Iterator[Service]:
    """A service whose worker answers."""
    service = Service(directory, stack, workers, **env)
    try:
        assert wait_until(lambda: answers(service.pid), 10), service.gunicorn.log
        yield service
    except BaseException:
        sys.stderr.write(service.gunicorn.log)
        raise
    finally:
        service.end()
