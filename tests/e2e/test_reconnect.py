"""python-socketio's own clients come back when the worker that they were on is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import wait_until
from journal_app import GEVENT, GTHREAD, Stack, ends, serve

socketio = pytest.importorskip("socketio")
pytest.importorskip("websocket")

#: The clients forget to close the connection that ended.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

#: For both clients: soon, and again and again.
RECONNECTION = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.2}
EVERY_STACK = pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=["gthread", "gevent"])
EVERY_WAY = pytest.mark.parametrize("how", ["KILL", pytest.param("HUP", marks=pytest.mark.slow)])


@EVERY_WAY
@EVERY_STACK
def test_the_client_with_threads(tmp_path: Path, stack: Stack, how: str) -> None:
    """Its events go on."""
    heard: dict[str, list[Any]] = {"here": [], "tick": [], "disconnect": []}
    with serve(tmp_path, stack, TICKING="1") as service:
        client = socketio.Client(**RECONNECTION)
        for event, values in heard.items():
            client.on(event, values.append)
        client.connect(service.url, transports=["websocket"], wait_timeout=10)
        assert wait_until(lambda: len(heard["tick"]) > 0, 10)
        first = heard["here"][0]["pid"]
        ends(service, how, first)
        assert wait_until(lambda: len(heard["here"]) == 2, 20)
        came = len(heard["tick"])
        assert wait_until(lambda: len(heard["tick"]) > came + 5, 10)
        assert heard["here"][1]["pid"] != first
        assert heard["disconnect"] == [client.reason.TRANSPORT_ERROR]
        client.disconnect()
        killed = 1 if how == "KILL" else 0
        assert wait_until(lambda: service.left_once(killed=killed), 10)
        assert "Traceback" not in service.server.log


@EVERY_WAY
@EVERY_STACK
def test_the_client_with_asyncio(tmp_path: Path, stack: Stack, how: str) -> None:
    """The same."""
    pytest.importorskip("aiohttp")
    heard: dict[str, list[Any]] = {"here": [], "tick": [], "disconnect": []}

    async def until(event: str, count: int) -> None:
        async def watch() -> None:
            while len(heard[event]) < count:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(watch(), 20)

    async def talk(url: str) -> None:
        client = socketio.AsyncClient(**RECONNECTION)
        for event, values in heard.items():
            client.on(event, values.append)
        await client.connect(url, transports=["websocket"], wait_timeout=10)
        await until("tick", 1)
        first = heard["here"][0]["pid"]
        await asyncio.to_thread(ends, service, how, first)
        await until("here", 2)
        await until("tick", len(heard["tick"]) + 5)
        assert heard["here"][1]["pid"] != first
        assert heard["disconnect"] == [client.reason.TRANSPORT_ERROR]
        await client.disconnect()

    with serve(tmp_path, stack, TICKING="1") as service:
        asyncio.run(talk(service.url))
        killed = 1 if how == "KILL" else 0
        assert wait_until(lambda: service.left_once(killed=killed), 10)
        assert "Traceback" not in service.server.log
