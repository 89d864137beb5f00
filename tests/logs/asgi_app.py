"""ASGI applications of the capture: plain, and Starlette's, by path."""

from __future__ import annotations

import asyncio
from typing import Any

import recorder
import scenes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

kept: set[asyncio.Task[None]] = set()


async def read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def fail(request: Request) -> Response:
    scenes.BUGS[request.path_params["name"]]()
    return PlainTextResponse("fine")


async def receive(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.receive_text()


async def push(websocket: WebSocket) -> None:
    """Sends, and closes nothing."""
    await websocket.accept()
    while True:
        await websocket._send({"type": "websocket.send", "text": "x" * 1000})
        await asyncio.sleep(0)


async def push_in_a_task(websocket: WebSocket) -> None:
    await websocket.accept()

    async def pushing() -> None:
        while True:
            await websocket._send({"type": "websocket.send", "text": "x" * 1000})
            await asyncio.sleep(0.001)

    task = asyncio.create_task(pushing())
    while not task.done():
        await asyncio.sleep(0.01)
    del task


async def after_close(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket._send({"type": "websocket.close", "code": 1000})
    await asyncio.sleep(0.05)
    await websocket._send({"type": "websocket.send", "text": "too late"})


starlette = Starlette(
    routes=[
        Route("/read", read, methods=["POST"]),
        Route("/fail/{name}", fail),
        WebSocketRoute("/receive", receive),
        WebSocketRoute("/push", push),
        WebSocketRoute("/task", push_in_a_task),
        WebSocketRoute("/after_close", after_close),
    ]
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100_000):  # in small pieces: flow control leaves it alone
            await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
            if scope["query_string"]:
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    if scope["type"] == "http" and scope["path"].startswith("/plain/"):
        scenes.BUGS[scope["path"][7:]]()
    if scope["type"] == "http" and scope["path"] == "/background":

        async def failing() -> None:
            scenes.BUGS["database"]()

        kept.add(task := asyncio.create_task(failing()))
        task.add_done_callback(kept.discard)
        del task
    if scope["type"] == "lifespan":
        return
    await starlette(scope, receive, send)


recorder.start()
