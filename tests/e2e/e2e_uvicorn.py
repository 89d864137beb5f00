"""A uvicorn for tests, and the ASGI service of its WebSocket tests, in the words of its own source."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn

NATIVE = "hangup.uvicorn:WebSocketProtocol"

#: What a service says of itself at ``/``; ``more`` is its own.
FACTS = """
import asyncio, gc, json, os
more = {}
async def facts(scope, receive, send):
    import hangup
    states = [state for state in gc.get_objects() if type(state).__name__ == "ServerState"]
    said = {
        "pid": os.getpid(), "fds": len(os.listdir("/proc/self/fd")), "status": hangup.status()["integrations"],
        "websockets": hangup.stats()["websockets"], "connections": len(states[0].connections),
        "tasks": len(states[0].tasks), "all_tasks": len(asyncio.all_tasks()), **more,
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
"""

APP = (
    FACTS
    + """
seen = more["seen"] = []
sent = more["sent"] = [0]
opened = asyncio.Event()

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/big":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8000000")]})
        await send({"type": "http.response.body", "body": bytes(8_000_000)})
    elif scope["type"] == "http" and scope["path"] == "/open":
        opened.set()
        await facts(scope, receive, send)
    elif scope["type"] == "http":
        await facts(scope, receive, send)
    else:
        connect = await receive()
        assert connect == {"type": "websocket.connect"}
        await globals()[scope["path"].strip("/")](scope, receive, send)

async def echo(scope, receive, send):
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    seen.append(message)

async def late(scope, receive, send):
    await opened.wait()
    await echo(scope, receive, send)

async def warm(scope, receive, send):
    await send({"type": "websocket.accept"})

async def think(scope, receive, send):
    seen.append(await receive())

async def describe(scope, receive, send):
    said = {
        "type": scope["type"], "scheme": scope["scheme"], "path": scope["path"], "asgi": scope["asgi"],
        "query": scope["query_string"].decode(), "subprotocols": scope["subprotocols"],
        "cookie": dict(scope["headers"])[b"cookie"].decode(), "client": scope["client"][0],
    }
    accept = {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-extra", b"1"), (b"x-extra", b"2")]}
    await send(accept)
    await send({"type": "websocket.send", "text": json.dumps(said)})
    await send({"type": "websocket.close", "code": 4001, "reason": "that was all"})
    seen.append(await receive())
    try:
        await send({"type": "websocket.send", "text": "more"})
    except Exception as error:
        seen.append(type(error).__name__)

async def refuse(scope, receive, send):
    await send({"type": "websocket.close"})
    seen.append(await receive())

async def deny(scope, receive, send):
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"no ticket")]})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you"})

async def misdeny(scope, receive, send):
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"a\\r\\nb: c")]})
    await send({"type": "websocket.http.response.body", "body": b""})

async def half(scope, receive, send):
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"9")]})
    await send({"type": "websocket.http.response.body", "body": b"who", "more_body": True})

async def inject(scope, receive, send):
    await send({"type": "websocket.accept", "headers": [(b"x-extra", b"1\\r\\nx-evil: 2")]})

async def silent(scope, receive, send):
    pass

async def fail(scope, receive, send):
    raise RuntimeError("an application's own bug")

async def leave(scope, receive, send):
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "bytes": bytes(5_000_000)})

async def fail_late(scope, receive, send):
    await send({"type": "websocket.accept"})
    raise RuntimeError("an application's own bug")

async def deaf(scope, receive, send):
    await send({"type": "websocket.accept"})
    await opened.wait()
    try:
        await send({"type": "websocket.send", "text": "anybody there?"})
    except OSError as error:
        seen.append(type(error).__name__)

async def flood(scope, receive, send):
    await send({"type": "websocket.accept"})
    async def one(number):
        await send({"type": "websocket.send", "text": str(number).ljust(1000)})
        sent[0] += 1
    try:
        for number in range(12_000):
            await one(number)
    except OSError as error:
        seen.append(type(error).__name__)

async def later(scope, receive, send):
    await send({"type": "websocket.accept"})
    await opened.wait()
    count = 0
    while (message := await receive())["type"] == "websocket.receive":
        count += len(message["bytes"])
    seen.append(count)
"""
)


class Uvicorn(Gunicorn):
    """A uvicorn that is ended by its pid."""

    def __init__(self, directory: Path, *args: str, app: str = APP, **env: str) -> None:
        pytest.importorskip("uvicorn")
        (directory / "app.py").write_text(app)
        self.log_file = directory / "log"
        environment = {**os.environ, "PYTHONPATH": str(directory), "HOME": str(directory), **env}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off", *args, "app:app"],
                cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def port(self) -> int:
        port = self.log.partition("Uvicorn running on http")[2].partition("127.0.0.1:")[2].partition(" ")[0]
        return int(port or 0)


@contextlib.contextmanager
def uvicorn(directory: Path, *args: str, ws: str = NATIVE, app: str = APP, **env: str) -> Iterator[Uvicorn]:
    server = Uvicorn(directory, "--ws", ws, *args, app=app, **env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()
