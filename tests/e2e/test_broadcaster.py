"""``hangup.Broadcaster`` over the WebSockets of flask-sock, of plain WSGI and of ASGI, with real clients."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from e2e_uvicorn import uvicorn
from hangup.testing import reset

websocket = pytest.importorskip("websocket")

COMMON = """
import json, os, threading, time
import hangup
everybody = hangup.Broadcaster()
here, facts_of = {}, lambda: {"pid": os.getpid(), "members": len(everybody), "here": sorted(here), **hangup.stats()}

def execute(code):
    scope = {**globals(), "result": None}
    try:
        exec(code, scope)
    except (RuntimeError, TypeError, ValueError) as error:
        return type(error).__name__
    return scope["result"]
"""

WSGI = (
    COMMON
    + """
from flask import Flask, request
from flask_sock import Sock
app = Flask(__name__)
sock = Sock(app)

@app.post("/run")
def run():
    return json.dumps(execute(request.get_data(as_text=True)))

@app.get("/")
def facts():
    return facts_of()

@sock.route("/flask_sock/<name>")
def flask_sock(ws, name):
    serve(ws, name)

def serve(ws, name):
    here[name] = ws
    everybody.add(ws)
    everybody.add(ws)
    ws.send("hello")
    while True:
        ws.receive()

flask_app = app
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if not path.startswith("/plain/"):
        return flask_app(environ, start_response)
    try:
        if path == "/plain/left":
            leave(hangup.WebSocket(environ))
        else:
            serve(hangup.WebSocket(environ), path[7:])
    except hangup.HangupError:
        pass
    return []

def leave(ws):
    everybody.add(ws)
    ws.send("hello")
"""
)

ASGI = (
    COMMON
    + """
async def plain(scope, receive, send):
    await receive()
    result = hangup.Broadcaster([scope]).send("too early")
    assert result == (0, 0, 0, 1), result
    await send({"type": "websocket.accept"})
    here[scope["path"][7:]] = scope
    everybody.add(scope)
    everybody.add(scope)
    await send({"type": "websocket.send", "text": "hello"})
    while (await receive())["type"] != "websocket.disconnect":
        pass

try:
    from starlette.websockets import WebSocket, WebSocketDisconnect
except ImportError:
    WebSocket = None

async def refused(scope, receive, send):
    await receive()
    everybody.add(scope)
    assert scope in everybody
    if scope["path"].endswith("close"):
        await send({"type": "websocket.close"})

async def starlette(scope, receive, send):
    ws = WebSocket(scope, receive, send)
    await ws.accept()
    here[scope["path"][11:]] = ws
    everybody.add(ws)
    await ws.send_text("hello")
    try:
        while True:
            await ws.receive_text()
    except WebSocketDisconnect:
        pass

try:
    from django.conf import settings
    settings.configure()
    from channels.generic.websocket import AsyncWebsocketConsumer
except ImportError:
    AsyncWebsocketConsumer = object

class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        here[self.scope["path"][10:]] = self
        everybody.add(self)
        await self.send(text_data="hello")

async def channels(scope, receive, send):
    await Consumer.as_asgi()(scope, receive, send)

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await globals()[scope["path"].split("/")[1]](scope, receive, send)
        return
    body = (await receive())["body"].decode()
    if scope["method"] == "GET":
        said = facts_of()
    elif scope["path"] == "/loop":
        said = execute(body)
    else:
        import asyncio
        said = await asyncio.get_running_loop().run_in_executor(None, execute, body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
"""
)

#: The server, and whose WebSockets.
STACKS = [
    ("gthread", "flask_sock"), ("gthread", "plain"), ("gevent", "flask_sock"), ("gevent", "plain"),
    ("asyncio", "plain"), ("uvloop", "plain"), ("asyncio", "starlette"), ("asyncio", "channels"),
]  # fmt: skip
IS_WSGI = ("gthread", "gevent")
Open = Callable[[str], Any]


class Service:
    """The service, and its clients."""

    def __init__(self, server: Gunicorn, kind: str) -> None:
        self.server = server
        self.kind = kind
        self.clients: list[Any] = []

    def run(self, code: str, path: str = "/run") -> Any:
        """What ``code`` leaves as ``result``, or the name of what it raises."""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        request = urllib.request.Request(url, data=code.encode(), method="POST")
        request.add_header("Content-Type", "text/plain")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def client(self, name: str) -> Any:
        """One that is a member."""
        url = f"ws://127.0.0.1:{self.server.port}/{self.kind}/{name}"
        client = websocket.create_connection(url, timeout=20, skip_utf8_validation=True)
        self.clients.append(client)
        assert client.recv() == "hello"
        return client

    def members(self, count: int) -> bool:
        return self.server.wait_until(lambda: self.run("result = len(everybody)") == count, 10)


@pytest.fixture(params=STACKS, ids="-".join)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    worker, kind = request.param
    if kind in ("starlette", "channels", "flask_sock"):
        pytest.importorskip(kind)
    if worker in ("gevent", "uvloop"):
        pytest.importorskip(worker)
    with contextlib.ExitStack() as kept:
        if worker in IS_WSGI:
            threads = ["--threads", "8"] if worker == "gthread" else []
            args = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, "--graceful-timeout", "3"]
            server = kept.enter_context(gunicorn(tmp_path, *args, app=WSGI))
        else:
            server = kept.enter_context(uvicorn(tmp_path, "--loop", worker, app=ASGI))
        server.ask()
        service = Service(server, kind)
        yield service
        for client in service.clients:
            if client.sock is not None:
                reset(client.sock)
        assert "Traceback" not in server.log


def test_members_get_what_is_sent(service: Service) -> None:
    """Text, binary, exclusion, leaving on purpose and by the way; what cannot be sent, or be a member."""
    a, b, c = (service.client(name) for name in "abc")
    assert service.members(3)
    assert sum(service.run("result = everybody.send('text é')")) == 3
    assert sum(service.run("result = everybody.send(bytearray(b'\\x00\\xff'), exclude=[here['b']])")) == 2
    assert sum(service.run("result = everybody.send('x' * 1_000_000)")) == 3
    for client in (a, b, c):
        assert client.recv() == "text é"
        if client is not b:
            assert client.recv() == b"\x00\xff"
        assert client.recv() == "x" * 1_000_000
    assert service.run("result = [here[name] in everybody for name in 'abc'] + [app in everybody]") == [
        True
    ] * 3 + [False]
    assert (
        service.run(
            "everybody.discard(here['b']); everybody.discard(here['b']); result = here['b'] in everybody"
        )
        is False
    )
    assert service.run("result = len(everybody)") == 2
    assert sum(service.run("result = everybody.send('without b')")) == 2
    assert service.run("everybody.add(here['b']); result = sum(everybody.send('with b'))") == 3
    assert [a.recv(), a.recv(), b.recv()] == ["without b", "with b", "with b"]

    for wrong in (
        "everybody.send(1)",
        "everybody.send(None)",
        "everybody.add(app)",
        "everybody.add({})",
        "everybody.add(None)",
    ):
        assert service.run(wrong) == "TypeError", wrong
    assert service.run("everybody.send('x', policy='perhaps')") == "ValueError"
    assert service.run("hangup.Broadcaster(policy='perhaps')") == "ValueError"
    assert service.run("result = hangup.Broadcaster().send('nobody')") == [0, 0, 0, 0]
    assert service.run("result = sum(hangup.Broadcaster([here['a']]).send('one'))") == 1

    reset(a.sock)
    c.close()
    assert service.server.wait_until(
        lambda: service.run("result = len(everybody)") == 1, 10
    )  # nothing is sent
    assert sum(service.run("result = everybody.send('y')")) == 1
    assert b.recv() == "y"


def test_members_that_do_not_keep_up(service: Service) -> None:
    """Dropped, coalesced and closed, as the message says; the other one gets everything, in order."""
    fast, slow = service.client("fast"), service.client("slow")
    assert service.members(2)
    fill = (
        "result = [everybody.send('f' * 1_000_000, policy='{}', exclude=[here['fast']]) for _ in range(80)]"
    )
    fates = [sum(fate) for fate in zip(*service.run(fill.format("drop_newest")))]
    assert fates[3] > 0  # more than 64 MiB
    assert fates[2] == 0
    code = "result = [everybody.send(str(number), policy='drop_oldest', coalesce='key') for number in range(100)]"
    fates = [sum(fate) for fate in zip(*service.run(code))]
    assert sum(fates) == 200
    assert fates[2] == 0
    heard: list[int] = []
    while not heard or heard[-1] != 99:
        heard.append(int(fast.recv()))
    assert heard == sorted(set(heard))
    assert sum(service.run(fill.format("close"))[-1]) == 1
    got, frame = [], slow.recv_data()
    while frame[0] != websocket.ABNF.OPCODE_CLOSE:
        got.append(frame[1])
        frame = slow.recv_data()
    assert int.from_bytes(frame[1][:2], "big") == 1013
    assert set(got) <= {b"f" * 1_000_000}
    assert service.server.wait_until(
        lambda: service.run("everybody.send('y'); result = len(everybody)") == 1, 10
    )


def emits_until_there_is_no_room(service: Service) -> int:
    """Has a thread of the server send a hundred numbered megabytes with `block`. Returns how many it has kept."""
    code = """
kept = []
def emits():
    for number in range(100):
        kept.append(sum(everybody.send(str(number).ljust(1_000_000), policy='block')))
here['kept'], here['emitter'] = kept, threading.Thread(target=emits)
here['emitter'].start()
"""
    assert service.run(code) is None
    seen = [-1]

    def is_waiting() -> bool:
        seen.append(service.run("time.sleep(0.2); result = len(here['kept'])"))
        return 0 < seen[-1] == seen[-2] < 100

    assert service.server.wait_until(is_waiting, 10), seen
    return seen[-1]


def test_block(service: Service) -> None:
    """Waits for room in a thread or a greenlet, and is refused in an event loop."""
    slow = service.client("slow")
    assert service.members(1)
    if service.kind != "flask_sock" and "uvicorn" in service.server.log.lower():
        assert service.run("everybody.send('x', policy='block')", "/loop") == "RuntimeError"
    emits_until_there_is_no_room(service)
    for number in range(100):
        assert slow.recv() == str(number).ljust(1_000_000)
    assert service.server.wait_until(lambda: service.run("result = len(here['kept'])") == 100, 10)
    assert service.run("here['emitter'].join()") is None


@pytest.mark.parametrize("service", [("asyncio", "plain")], ids="-".join, indirect=True)
@pytest.mark.parametrize("how", ["close", "return"])
def test_members_that_are_never_accepted_leave(service: Service, how: str) -> None:
    """An application that adds a WebSocket and then refuses it does not keep it for ever."""
    there = service.client("a")
    url = f"ws://127.0.0.1:{service.server.port}/refused/{how}"
    for _ in range(3):
        with pytest.raises(websocket.WebSocketBadStatusException):
            websocket.create_connection(url, timeout=20)
    assert service.run("result = everybody.send('x')")[2:] == [3, 0]
    assert there.recv() == "x"
    assert service.members(1)
    assert service.run("result = everybody.send('y')")[2:] == [0, 0]


@pytest.mark.parametrize("service", [("gthread", "plain"), ("gevent", "plain")], ids="-".join, indirect=True)
def test_who_waits_for_a_member_whose_object_is_gone(service: Service) -> None:
    """The application let go of the WebSocket, the broadcaster did not: who waits for room goes on."""
    client = service.client("left")
    assert service.members(1)
    kept = emits_until_there_is_no_room(service)
    for _ in range(50):
        assert len(client.recv()) == 1_000_000
    assert service.server.wait_until(lambda: service.run("result = len(here['kept'])") > kept, 10)
    reset(client.sock)
    assert service.server.wait_until(lambda: service.run("result = len(here['kept'])") == 100, 10)
