"""python-socketio's AsyncServer under uvicorn with native WebSockets, with real clients."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Optional

import pytest
from e2e_uvicorn import FACTS, Uvicorn, uvicorn
from hangup._demo.server import wait_until
from hangup.testing import reset

socketio = pytest.importorskip("socketio")
pytest.importorskip("websocket")

APP = (
    """
import os
import socketio
if os.environ.get("WAY") == "install":
    import hangup
    hangup.install()
if os.environ.get("WAY") == "manager":
    import hangup.flask_socketio
    managed = {"client_manager": hangup.flask_socketio.AsyncManager()}
else:
    managed = {}
"""
    + FACTS
    + """
server = socketio.AsyncServer(
    async_mode="asgi", cors_allowed_origins="*", max_http_buffer_size=100_000,
    monitor_clients="MONITOR" not in os.environ, async_handlers="MONITOR" not in os.environ,
    ping_interval=float(os.environ.get("INTERVAL", 25)), ping_timeout=float(os.environ.get("TIMEOUT", 20)), **managed,
)
more.update(connected=0, disconnected=0, twice=0, sessions=0)
here = set()

@server.event
async def connect(sid, environ, auth=None):
    here.add(sid)
    more["connected"] += 1

@server.event
async def disconnect(sid, *reason):
    more["twice"] += sid not in here
    here.discard(sid)
    more["disconnected"] += 1

@server.event
async def echo(sid, data):
    return data

@server.event
async def ask(sid, question):
    await server.emit("answered", await server.call("question", question, to=sid, timeout=10), to=sid)

@server.event
async def enter(sid, room):
    await server.enter_room(sid, room)
    async with server.session(sid) as session:
        session["room"] = room
    await server.emit("entered", (await server.get_session(sid))["room"], to=room)

@server.event
async def tell(sid, data):
    await server.emit("told", data)

@server.event
async def flood(sid, count):
    for number in range(count):
        await server.emit("flood", str(number).ljust(1000), to=sid)

released = asyncio.Event()

@server.event
async def stick(sid, data):
    await server.emit("stuck", to=sid)
    await released.wait()

@server.event
async def forget(sid, data):
    session = server.eio.sockets.pop(server.manager.eio_sid_from_sid(sid, "/"))
    more["forgotten"] = session.sid

async def other(scope, receive, send):
    if scope["path"] == "/release":
        released.set()
    if scope["path"] == "/leaks":
        import hangup.fds
        more["leaks"] = [tuple(leak) for leak in hangup.fds.leaks(0)]
        more["sids"] = [one.sid for one in hangup.fds.snapshot() if one.kind == "websocket"]
    more["sessions"] = len(list(server.eio.sockets))
    await facts(scope, receive, send)

app = socketio.ASGIApp(server, other)
"""
)
OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"
REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
WAYS = ["reset", "end", "half", "close", "garbage", "silent", "stalled"]


def frame(text: str) -> bytes:
    """A client's, masked with zeros."""
    return struct.pack("!BB4x", 0x81, 0x80 | len(text)) + text.encode()


def open_session(server: Uvicorn) -> socket.socket:
    """Sends everything up to the Socket.IO CONNECT at once, and reads its answer."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.sendall(REQUEST + frame("40"))
    received = b""
    while b"40{" not in received:
        more = client.recv(4096)
        assert more, received
        received += more
    return client


@contextlib.contextmanager
def serve(directory: Path, *args: str, **env: str) -> Iterator[Uvicorn]:
    """A uvicorn that answers."""
    with uvicorn(directory, *args, app=APP, **env) as server:
        server.ask()
        yield server


def settled(server: Uvicorn, before: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the service says of itself once it is back where it was, or when time is up."""
    last: dict[str, Any] = {}

    def is_settled() -> bool:
        last.update(server.ask())
        return last["connected"] == last["disconnected"] and all(
            last[name] <= before[name] for name in ("sessions", "fds", "connections", "tasks")
        )

    wait_until(is_settled, seconds)
    return last


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"], ["polling"]], ids="+".join)
@pytest.mark.parametrize("way", ["install", "manager", "install-old"])
def test_the_service_works_as_before(tmp_path: Path, way: str, transports: list[str]) -> None:
    """Events, acknowledgements both ways, binary, rooms and sessions, and one disconnect per connect."""
    way, _, old = way.partition("-")
    if old and not (OLD / "ready").exists():
        pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
    for package in ("socketio", "engineio") if old else ():
        (tmp_path / package).symlink_to(OLD / package)
    with serve(tmp_path, WAY=way, INTERVAL="1", TIMEOUT="1") as server:
        before = server.ask()
        assert before["status"]["socketio"]["state"] == "on"
        client = socketio.Client(reconnection=False)
        heard: dict[str, Any] = {}
        rung = {name: threading.Event() for name in ("answered", "entered")}

        def hear(name: str) -> None:
            client.on(name, lambda data: (heard.update({name: data}), rung[name].set()))

        hear("answered")
        hear("entered")
        client.on("question", lambda data: data * 2)
        client.connect(f"http://127.0.0.1:{server.port}", transports=transports, wait_timeout=20)
        assert client.transport() == transports[-1]
        for data in ("x", "y" * 90_000, {"nested": [1, None, "é"]}, b"\x00\xff" * 30_000):
            assert client.call("echo", data, timeout=20) == data
        client.emit("ask", 21)
        assert rung["answered"].wait(20)
        client.emit("enter", "room 1")
        assert rung["entered"].wait(20)
        assert heard == {"answered": 42, "entered": "room 1"}
        assert server.ask()["websockets"] == (transports[-1] == "websocket")
        client.disconnect()
        last = settled(server, {**before, "fds": before["fds"] + 8}, 10)  # the engine has started
        assert (last["connected"], last["disconnected"], last["twice"]) == (1, 1, 0), last
        assert "Traceback" not in server.log


def test_a_request_of_a_session_that_has_ended_is_refused(tmp_path: Path) -> None:
    """Stock: 500, KeyError('Session is disconnected'), and a traceback."""
    with serve(tmp_path, WAY="install") as server:
        path = "/socket.io/?EIO=4&transport=polling"

        opened, body = request(server, "GET", path)
        path += f"&sid={sid_of(body)}"
        assert (opened, request(server, "POST", path, "1")) == (200, (200, b"OK"))  # the client leaves
        assert request(server, "POST", path, "40")[0] == 400
        assert "Traceback" not in server.log


def request(server: Uvicorn, method: str, path: str, body: Optional[str] = None) -> tuple[int, bytes]:
    """An answer, and its body."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()


def sid_of(opening: bytes) -> str:
    """Of the session that an OPEN packet opens."""
    sid: str = json.loads(opening[opening.index(b"{") : opening.index(b"}") + 1])["sid"]
    return sid


def test_leaks_are_seen(tmp_path: Path) -> None:
    """A session whose client no longer polls, one whose WebSocket is over while its handler goes on, and a WebSocket
    whose session is gone: where engineio looks for none of them (``monitor_clients=False``).
    """
    with serve(tmp_path, WAY="install", MONITOR="no", INTERVAL="1", TIMEOUT="1") as server:
        path = "/socket.io/?EIO=4&transport=polling"
        polling = sid_of(request(server, "GET", path)[1])
        request(server, "POST", f"{path}&sid={polling}", "40")
        with open_session(server) as forgotten, open_session(server) as stuck:
            sids = json.loads(request(server, "GET", "/leaks")[1])["sids"]
            assert len(set(sids) - {None}) == 2, sids
            forgotten.sendall(frame('42["forget",1]'))
            stuck.sendall(frame('42["stick",1]'))
            while b"stuck" not in stuck.recv(4096):
                pass
            reset(stuck)
            said: dict[str, Any] = {}

            def is_all_found() -> bool:
                forgotten.sendall(frame("3"))  # it answers
                said.update(json.loads(request(server, "GET", "/leaks")[1]))
                return len(said["leaks"]) == 3

            is_found = wait_until(is_all_found, 20)
            request(server, "GET", "/release")
            assert is_found, said["leaks"]
            known = {sid: (kind, fd is not None) for kind, fd, sid, *_ in said["leaks"]}
            assert known.pop(polling) == ("sid_without_fd", False)
            assert known.pop(said["forgotten"]) == ("fd_without_sid", True)
            [(over, what)] = known.items()
            assert what == ("sid_without_fd", False)
            assert over in sids


def leave(client: socket.socket, way: str, waiting: list[socket.socket]) -> None:
    """Leaves in one of the ways; silent and stalled clients wait."""
    if way == "stalled":
        client.sendall(frame('42["flood",3000]'))
    elif way == "half":
        client.sendall(b"\x81\xfe\x10")
    elif way == "garbage":
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    elif way == "close":
        client.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
    if way == "reset":
        reset(client)
    elif way in ("silent", "stalled"):
        waiting.append(client)
    else:
        client.close()


@pytest.mark.parametrize(
    ("loop", "count"),
    [("asyncio", 100), ("uvloop", 100), pytest.param("asyncio", 5000, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(600)
def test_a_storm_of_leaves_leaves_nothing_behind(tmp_path: Path, loop: str, count: int) -> None:
    """In seven ways, amid broadcasts to those that are leaving: one disconnect each, and no traceback."""
    if loop != "asyncio":
        pytest.importorskip(loop)
    with serve(tmp_path, "--loop", loop, WAY="install", INTERVAL="1", TIMEOUT="1") as server:
        open_session(server).close()
        assert wait_until(lambda: server.ask()["tasks"] == 1, 10)  # its asker's
        before = server.ask()
        chosen = random.Random(1)
        waiting: list[socket.socket] = []
        with contextlib.ExitStack() as kept:
            for number in range(count):
                client = open_session(server)
                client.sendall(frame(f'42["tell",{number}]'))
                leave(client, chosen.choice(WAYS), waiting)
                while len(waiting) > 100:
                    waiting.pop(0).close()
            for client in waiting:
                kept.callback(client.close)
            last = settled(server, before, 1 + 1 + 1 + 4)  # interval, timeout, engineio's round, and some
        assert (last["connected"], last["disconnected"], last["twice"]) == (count + 1, count + 1, 0), last
        assert all(last[name] <= before[name] for name in ("sessions", "fds", "connections", "tasks")), (
            before,
            last,
        )
        for trouble in ("Traceback", "never retrieved", "Session is disconnected", "SocketIsClosed"):
            assert trouble not in server.log, server.log[-3000:]
