"""The descriptors of real gunicorns: leaks named by endpoint, healthy services, and a limit that is met."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until

STACKS = [
    ("27.0.1", "gthread"),
    ("21.2.0", "gthread"),
    ("27.0.1", "sync"),
    ("21.2.0", "sync"),
    ("27.0.1", "gevent"),
    ("21.2.0", "gevent"),
]

LEAKY = """
import itertools, json, os
from flask import Flask
import hangup
hoard, count = [], itertools.count(1)
app = Flask(__name__)

@app.get("/")
def facts():
    return {
        "pid": os.getpid(), "endpoints": [one._asdict() for one in hangup.fds.endpoints()],
        "leaks": [leak._asdict() for leak in hangup.fds.leaks(0.0)], "stats": hangup.stats(),
        "kinds": [line.kind for line in hangup.fds.snapshot()],
    }

@app.get("/users/<int:user>")
def leaks(user):
    if next(count) % 100 == 0:
        hoard.append(open("/dev/null"))
    return "x"

@app.get("/fine")
def fine():
    with open("/dev/null"):
        return "x"
"""


@contextlib.contextmanager
def serving(directory: Path, stack: tuple[str, str], *args: str, app: str) -> Iterator[Gunicorn]:
    version, worker = stack
    if worker == "gevent":
        pytest.importorskip("gevent")
    pytest.importorskip("flask")
    threads = ["--threads", "4"] if worker == "gthread" else []
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, *args]
    with gunicorn(directory, *chosen, app=app, version=version) as server:
        server.ask()
        yield server


def socketio_serving(
    directory: Path, stack: tuple[str, str], *args: str, app: str
) -> contextlib.AbstractContextManager[Gunicorn]:
    """Of an application of Flask-SocketIO, whose mode it calls MODE."""
    pytest.importorskip("websocket")
    pytest.importorskip("flask_socketio")
    mode = "gevent" if stack[1] == "gevent" else "threading"
    return serving(directory, stack, *args, app=app.replace("MODE", repr(mode)))


def get(port: int, *paths: str) -> list[int]:
    """The statuses of these requests, behind each other on as few connections as the server allows."""
    statuses = []
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for path in paths:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    return statuses


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_an_endpoint_that_leaks_is_named_by_its_route(tmp_path: Path, stack: tuple[str, str]) -> None:
    """One in a hundred requests, within a thousand; the endpoint beside it is not, nor is what clients ask for."""
    with serving(tmp_path, stack, app=LEAKY) as server:

        def asks(seed: int) -> None:
            for number in range(10):
                get(server.port, *(f"/users/{seed * 1000 + number * 25 + one}" for one in range(25)), "/fine")

        askers = [threading.Thread(target=asks, args=(seed,)) for seed in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        facts = server.ask()
        leaking = [one for one in facts["endpoints"] if one["is_leaking"]]
        assert [one["name"] for one in leaking] == ["GET /users/<int:user>"], facts["endpoints"]
        assert leaking[0]["requests"] == 1000
        assert leaking[0]["examples"] == ["device /dev/null"]
        # a client of a busy machine may have closed a moment ago
        leaks = {leak["kind"] for leak in facts["leaks"] if leak["kind"] != "close_wait" or leak["age"] > 5}
        assert leaks == {"left_behind"}
        assert len(re.findall("leave descriptors behind", server.log)) == 1


HEALTHY = """
import json, os, sys
from flask import Flask, request
from flask_socketio import SocketIO, join_room
import hangup
app = Flask(__name__)
server = SocketIO(app, async_mode=MODE, cors_allowed_origins="*", ping_interval=1, ping_timeout=1)

@server.on("enter")
def enter(room):
    join_room(room)
    return request.sid

@app.get("/")
def facts():
    return {
        "pid": os.getpid(), "leaks": [leak._asdict() for leak in hangup.fds.leaks(0.0)],
        "named": [one.name for one in hangup.fds.endpoints() if one.is_leaking],
        "snapshot": [line._asdict() for line in hangup.fds.snapshot()],
        "recent": [dead._asdict() for dead in hangup.fds.recent()],
        "violations": hangup.stats()["ownership_violations"],
    }
"""


def leaves(client: Any) -> None:
    """With the connections that its HTTP library keeps."""
    http, websocket = client.eio.http, client.eio.ws
    client.disconnect()
    client.wait()
    for left in (http, websocket):
        if left is not None:
            left.close()


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[4]], ids="-".join)
def test_a_healthy_service_has_no_finding(tmp_path: Path, stack: tuple[str, str]) -> None:
    """Polling and WebSocket clients come and go, some without a word, and somebody asks for leaks all the time."""
    socketio = pytest.importorskip("socketio")
    with socketio_serving(tmp_path, stack, app=HEALTHY) as server:
        until = time.monotonic() + 3
        found: list[Any] = []

        def comes_and_goes(number: int) -> None:
            while time.monotonic() < until:
                client = socketio.Client(reconnection=False)
                transports = [["polling"], ["websocket"], ["polling", "websocket"]][number % 3]
                client.connect(f"http://127.0.0.1:{server.port}", transports=transports, wait_timeout=20)
                client.call("enter", "a room", timeout=20)
                if number % 2 and client.eio.current_transport == "websocket":
                    with client.eio.ws.sock as left:
                        left.shutdown(socket.SHUT_RDWR)
                leaves(client)

        clients = [threading.Thread(target=comes_and_goes, args=(number,)) for number in range(5)]
        for client in clients:
            client.start()
        stays = socketio.Client(reconnection=False)
        stays.connect(f"http://127.0.0.1:{server.port}", transports=["websocket"], wait_timeout=20)
        sid = stays.call("enter", "the room", timeout=20)
        while time.monotonic() < until:
            facts = server.ask()
            found += [leak for leak in facts["leaks"] if leak["kind"] != "close_wait" or leak["age"] > 5]
            found += facts["named"]
        for client in clients:
            client.join()
        facts = server.ask()
        assert found == []
        (line,) = (line for line in facts["snapshot"] if ["/", sid] in line["sids"])
        assert (line["kind"], line["rooms"], line["queued"]) == ("websocket", [["/", "the room"]], 0)
        assert line["tcp"][0] == "established"
        assert line["sid"]
        assert line["received"] > 0
        assert line["sent"] > 0
        assert {"listener", "epoll"} <= {line["kind"] for line in facts["snapshot"]} or stack[1] == "gevent"
        assert {"end_of_stream", "close_frame"} & {dead["cause"] for dead in facts["recent"]}
        assert facts["violations"] == 0
        leaves(stays)


FAULTY = """
import json, os, socket, struct, threading
from flask import Flask, request
from flask_socketio import SocketIO
import hangup
from hangup import _leaks
_leaks.PASSING = 1.0
app = Flask(__name__)
server = SocketIO(
    app, async_mode=MODE, cors_allowed_origins="*", ping_interval=1, ping_timeout=1, monitor_clients=False
)
kept = []

@app.get("/forget")
def forget():
    server.server.eio.sockets.clear()
    return "x"

@app.get("/keep")
def keep():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.sendall(b"x")
    ours.recv(1)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    kept.append(ours)
    return "x"

@app.get("/stay")
def stay():
    (request.environ.get("gunicorn.socket") or request.environ["werkzeug.socket"]).close()
    threading.Event().wait(30)

@app.get("/")
def facts():
    return {"pid": os.getpid(), "leaks": [leak._asdict() for leak in hangup.fds.leaks(0.0)]}
"""


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[5]], ids="-".join)
def test_each_kind_of_leak_is_found(tmp_path: Path, stack: tuple[str, str]) -> None:
    """A reset that nobody closes for, a handler that stays inside what it closed, sessions and WebSockets alone."""
    socketio = pytest.importorskip("socketio")
    with socketio_serving(tmp_path, stack, "--graceful-timeout", "1", app=FAULTY) as server:
        wanted = {"dead", "sid_without_fd", "fd_without_sid"}
        client = socketio.Client(reconnection=False)
        client.connect(f"http://127.0.0.1:{server.port}", transports=["websocket"], wait_timeout=20)
        get(server.port, "/keep", "/forget", "/socket.io/?EIO=4&transport=polling")
        with socket.create_connection(("127.0.0.1", server.port)) as inside:
            if stack[1] != "gevent":  # under gevent the sockets are the hub's
                wanted.add("closing")
                inside.sendall(b"GET /stay HTTP/1.1\r\nHost: x\r\n\r\n")
            found: list[Any] = []

            def all_found() -> bool:
                found[:] = server.ask()["leaks"]
                return {leak["kind"] for leak in found} >= wanted

            assert wait_until(all_found, 15), found
            leaves(client)


LIMITED = """
import json, os, resource, threading, time
import hangup
resource.setrlimit(resource.RLIMIT_NOFILE, (160, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
hoard, failed = [], []

def leak():
    while len(hoard) < 400 and not failed:
        try:
            hoard.append(os.dup(0))
        except OSError:
            failed.append(True)
        if hangup.stats()["accept_pauses"]:
            break
        time.sleep(0.02)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/leak":
        threading.Thread(target=leak, daemon=True).start()
    if path == "/wait":
        time.sleep(0.1)
    if path == "/free":
        while hoard:
            os.close(hoard.pop())
    facts = {
        "pid": os.getpid(), "pauses": hangup.stats()["accept_pauses"], "failed": bool(failed),
        "open": len(os.listdir("/proc/self/fd")) - 1,
    }
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("stack", STACKS[:2], ids="-".join)
def test_accepting_is_held_back_before_a_leak_has_won(tmp_path: Path, stack: tuple[str, str]) -> None:
    """No EMFILE before the pause, one line for it, and everybody is served once the leak is mended."""
    with serving(tmp_path, stack, app=LIMITED) as server:
        get(server.port, "/leak")
        facts: dict[str, Any] = {}

        def paused() -> bool:
            with contextlib.ExitStack() as stack:
                visitors = []
                for _ in range(12):
                    visitor = socket.create_connection(("127.0.0.1", server.port), timeout=20)
                    visitors.append(stack.enter_context(visitor))
                    visitor.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                for visitor in visitors:
                    answer = stack.enter_context(visitor.makefile("rb")).read().partition(b"\r\n\r\n")[2]
                    if answer:  # who has not asked gives way when descriptors are short
                        facts.update(json.loads(answer))
            return bool(facts["pauses"])

        assert wait_until(paused, 30), facts
        assert not facts["failed"]
        assert facts["open"] < 160
        get(server.port, "/free")
        assert get(server.port, "/") == [200]
        assert len(re.findall("descriptors are running short", server.log)) == 1
        assert "EMFILE" not in server.log
        assert "Too many open files" not in server.log
