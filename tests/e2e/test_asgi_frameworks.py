"""Starlette, FastAPI and Quart under ``hangup.asgi.Hangup`` on uvicorn: their own ways to see a client leave work."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from e2e_asgi import ROOT, open_websocket, serve, until
from hangup._demo.server import wait_until
from hangup.testing import connect, reset

#: Installed by itself: it brings hypercorn.
QUART = ROOT / ".quart" / "0"
FRAMEWORKS = ("starlette", "middleware", "fastapi", "quart")

APP = """
import asyncio, json, os
import hangup, hangup.asgi
seen = []

async def numbers():
    try:
        while True:
            yield b"0123456789" * 100
            await asyncio.sleep(0.005)
    finally:
        seen.append("stream closed")

async def talk(send):
    try:
        while True:
            await send("hello")
            await asyncio.sleep(0)
    finally:
        seen.append("talk over")

async def listen(receive):
    try:
        while True:
            seen.append(await receive())
    finally:
        seen.append("listen over")
%s
OPTIONS = json.loads(os.environ["OPTIONS"])

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/":
        said = {"pid": os.getpid(), "seen": seen, "tasks": len(asyncio.all_tasks())}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})
    else:
        await wrapped(scope, receive, send)
"""

HANDLERS = """
from starlette.responses import PlainTextResponse, StreamingResponse

async def talking(websocket: WebSocket):
    await websocket.accept()
    await talk(websocket.send_text)

async def listening(websocket: WebSocket):
    await websocket.accept()
    await listen(websocket.receive_text)

async def streaming(request: Request):
    return StreamingResponse(numbers())

async def polling(request: Request):
    seen.append("polling")
    while not await request.is_disconnected():
        await asyncio.sleep(0.005)
    seen.append("polling over")
    return PlainTextResponse("to nobody")

async def taking(request: Request):
    seen.append("taking")
    try:
        await request.body()
    finally:
        seen.append("taking over")
"""

STARLETTE = f"""
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
{HANDLERS}
routes = [WebSocketRoute("/talk", talking), WebSocketRoute("/listen", listening), Route("/stream", streaming)]
routes += [Route("/poll", polling), Route("/take", taking, methods=["POST"])]
starlette = Starlette(routes=routes)
"""

SOURCES = {
    "starlette": f"{STARLETTE}\nwrapped = lambda *call: hangup.asgi.Hangup(starlette, **OPTIONS)(*call)\n",
    "middleware": (
        f"{STARLETTE}\nwrapped = starlette\n"
        "starlette.add_middleware(hangup.asgi.Hangup, **json.loads(os.environ['OPTIONS']))\n"
    ),
    "fastapi": f"""
from fastapi import FastAPI, Request, WebSocket
{HANDLERS}
api = FastAPI()
api.websocket("/talk")(talking)
api.websocket("/listen")(listening)
api.get("/stream")(streaming)
api.get("/poll")(polling)
api.post("/take")(taking)
wrapped = lambda *call: hangup.asgi.Hangup(api, **OPTIONS)(*call)
""",
    "quart": """
from quart import Quart, request, websocket
quart = Quart("app")

@quart.websocket("/talk")
async def talking():
    await talk(websocket.send)

@quart.websocket("/listen")
async def listening():
    await websocket.accept()
    await listen(websocket.receive)

@quart.get("/stream")
async def streaming():
    return numbers()

@quart.get("/poll")
async def polling():
    seen.append("polling")
    try:
        await asyncio.sleep(3600)
    finally:
        seen.append("polling over")

@quart.post("/take")
async def taking():
    seen.append("taking")
    try:
        await request.get_data()
    finally:
        seen.append("taking over")

wrapped = lambda *call: hangup.asgi.Hangup(quart, **OPTIONS)(*call)
""",
}


def require(framework: str) -> None:
    """Skips the test by the name of what is missing."""
    if framework == "quart":
        if not (QUART / "ready").exists():
            pytest.skip("quart is not installed")
    elif find_spec("fastapi" if framework == "fastapi" else "starlette") is None:
        pytest.skip(f"{framework} is not installed")


@pytest.mark.parametrize(
    ("framework", "options"),
    [
        *((name, {}) for name in FRAMEWORKS),
        ("starlette", {"raise_gone": True}),
        ("fastapi", {"raise_gone": True}),
    ],
)
def test_clients_that_leave_end_their_handlers_once_and_quietly(
    tmp_path: Path, framework: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a send, in a receive, in a stream, while a view polls, and in an upload."""
    require(framework)
    if framework == "quart":
        monkeypatch.setenv("PYTHONPATH", str(QUART), prepend=os.pathsep)
    with serve(tmp_path, "uvicorn", APP % SOURCES[framework], OPTIONS=json.dumps(options)) as server:
        before = server.ask()["tasks"]
        seen: list[str] = []

        def has(what: str) -> None:
            def has_seen() -> bool:
                seen[:] = server.ask()["seen"]
                return what in seen

            assert wait_until(has_seen, 10), (seen, server.log[-3000:])

        client = open_websocket(server, "/talk")
        until(client, b"hello")
        reset(client)
        has("talk over")
        reset(open_websocket(server, "/listen"))
        has("listen over")
        client = send(server.port, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        until(client, b"0123456789")
        reset(client)
        has("stream closed")
        client = send(server.port, b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n")
        has("polling")
        reset(client)
        has("polling over")
        client = send(server.port, b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart")
        has("taking")
        reset(client)
        has("taking over")
        assert wait_until(lambda: server.ask()["tasks"] <= before, 10)
        assert len(seen) == len(set(seen)), seen
        assert len([each for each in seen if each.endswith(("over", "closed"))]) == 5, seen
        assert not re.search("ERROR|WARNING|Traceback|never retrieved", server.log), server.log[-3000:]


def send(port: int, request: bytes) -> Any:
    client = connect(("127.0.0.1", port), timeout=20)
    client.sendall(request)
    return client
