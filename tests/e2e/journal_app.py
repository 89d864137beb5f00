"""A Socket.IO service that keeps a journal which outlives its workers, and a gunicorn that serves it.

With ``TICKING`` it emits an event without end; it has a page for browsers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn

JS = Path(__file__).resolve().parent / "js"
OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"

#: gunicorn, worker, Socket.IO's model, what it needs, an old python-socketio instead of the installed one.
Stack = tuple[str, str, str, str, bool]
STACKS: list[Stack] = [
    ("27.0.1", "gthread", "threading", "", False),
    ("27.0.1", "gthread", "threading", "", True),
    ("21.2.0", "gthread", "threading", "", True),
    ("27.0.1", "sync", "threading", "", False),
    ("27.0.1", "gevent", "gevent", "gevent", False),
    ("21.2.0", "gevent", "gevent", "gevent", True),
    ("25.3.0", "eventlet", "eventlet", "eventlet", False),
]
GTHREAD, GEVENT = STACKS[0], STACKS[4]
#: How a worker may end (see :func:`ends`).
WAYS = ["KILL", "TERM", "HUP", "max_requests"]

APP = """
import json, os, threading
import socketio

HERE = os.environ["JS"]
server = socketio.Server(
    async_mode=os.environ["MODE"], cors_allowed_origins="*", max_http_buffer_size=3_000_000,
    ping_interval=float(os.environ.get("INTERVAL", 25)), namespaces=["/", "/chat"],
)
ticking = threading.Lock()
if "TICKING" not in os.environ:  # two threads that emit to one client may come between a packet and its attachments
    ticking.acquire()

def journal(*words):
    with open(os.environ["JOURNAL"], "a") as file:
        file.write(json.dumps([os.getpid(), *words]) + "\\n")

def tick():
    number = 0
    while True:
        server.sleep(0.05)
        number += 1
        server.emit("tick", number)

@server.event
def connect(sid, environ, auth=None):
    if auth and auth.get("token") == "wrong":
        raise socketio.exceptions.ConnectionRefusedError("who are you", {"try": ["again", 1]})
    if ticking.acquire(blocking=False):
        server.start_background_task(tick)
    journal("connect", sid)
    server.emit("here", {"pid": os.getpid(), "auth": auth}, to=sid)

@server.event
def disconnect(sid, *reason):
    journal("disconnect", sid, *reason)

@server.event
def echo(sid, *data):
    return data if len(data) != 1 else data[0]

@server.event
def say(sid, data):
    server.emit("said", data, to=sid)

@server.event
def note(sid, number):
    journal("note", number)
    server.emit("noted", number, to=sid)

@server.event
def ask(sid, question):
    def answered(*answer):
        journal("callback", sid, len(answer))
    server.emit("question", question, to=sid, callback=answered)
    return server.call("question", question, to=sid, timeout=10)

@server.event
def enter(sid, room):
    server.enter_room(sid, room)

@server.event
def leave(sid, room):
    server.leave_room(sid, room)

@server.event
def tell(sid, room, data):
    server.emit("told", data, room=room, skip_sid=sid)

@server.event
def close(sid, room):
    server.close_room(room)

@server.event
def dismiss(sid):
    server.disconnect(sid)

@server.on("connect", namespace="/chat")
def chat_connect(sid, environ, auth):
    server.save_session(sid, {"name": auth["name"]}, namespace="/chat")

@server.on("whoami", namespace="/chat")
def whoami(sid):
    return server.get_session(sid, namespace="/chat")["name"]

@server.on("shout", namespace="/chat")
def shout(sid, data):
    server.emit("shouted", data, namespace="/chat")

@server.on("disconnect", namespace="/chat")
def chat_disconnect(sid, *reason):
    journal("chat disconnect", sid, *reason)

def facts(environ, start_response):
    import hangup
    said = {
        "pid": os.getpid(), "fds": len(os.listdir("/proc/self/fd")),
        "sessions": sum(not session.closed for session in list(server.eio.sockets.values())),
        "status": hangup.status()["integrations"].get("socketio"), "websockets": hangup.stats()["websockets"],
        "engineio": __import__("engineio").__file__,
    }
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, facts, static_files={
    "/page.html": HERE + "/page.html", "/conversation.js": HERE + "/conversation.js",
    "/socket.io.js": HERE + "/node_modules/socket.io-client/dist/socket.io.min.js",
})
"""


class Service:
    """The service, and what it wrote down."""

    def __init__(self, server: Gunicorn, journal: Path) -> None:
        self.server = server
        self._journal = journal

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def journal(self, *words: str) -> list[list[Any]]:
        """What follows ``words`` in each entry that begins with them, in order."""
        if not self._journal.exists():
            return []
        entries = [json.loads(line)[1:] for line in self._journal.read_text().splitlines()]
        return [entry[len(words) :] for entry in entries if entry[: len(words)] == list(words)]

    def left_once(self, *, killed: int = 0) -> bool:
        """Whether each that connected has left, once, but for ``killed`` that could not be told."""
        connects = {sid for (sid,) in self.journal("connect")}
        disconnects = Counter(sid for sid, *_ in self.journal("disconnect"))
        assert set(disconnects.values()) <= {1}, disconnects
        assert disconnects.keys() <= connects
        return len(connects) - len(disconnects) == killed


@contextlib.contextmanager
def serve(directory: Path, stack: Stack, *args: str, **env: str) -> Iterator[Service]:
    """A gunicorn with one guarded worker of the stack, which answers."""
    version, worker, mode, needs, old = stack
    if needs:
        pytest.importorskip(needs)
    pytest.importorskip("socketio")
    if old:
        if not (OLD / "ready").exists():
            pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
        for package in ("socketio", "engineio"):
            (directory / package).symlink_to(OLD / package)
    threads = ["--threads", "4"] if worker == "gthread" else []
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, "--graceful-timeout", "5", *args]
    journal = directory / "journal"
    env = {"MODE": mode, "JS": str(JS), "JOURNAL": str(journal), **env}
    with gunicorn(directory, *chosen, app=APP, version=version, **env) as server:
        facts = server.ask()
        assert (str(directory) in facts["engineio"]) == old
        yield Service(server, journal)


def ends(service: Service, how: str, pid: int) -> None:
    """Has the worker end."""
    server = service.server
    if how == "HUP":
        server.process.send_signal(signal.SIGHUP)
    elif how == "max_requests":
        for _ in range(20):
            server.ask()
    else:
        os.kill(pid, signal.Signals[f"SIG{how}"])
