"""One client of an ASGI server, and its groups: what the tests with real servers meet too rarely."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hangup import PeerGone
from hangup._asgi.client import Client, Limits
from hangup._client import Client as RequestClient
from hangup._websocket.member import EXTENSION as NATIVE

ACK = '{"type": "heartbeat_ack"}'


def test_a_client_that_answers_a_busy_handler_stays() -> None:
    """The handler fetches nothing for several heartbeats, all of which are answered at once."""

    async def scenario() -> bool:
        events: asyncio.Queue[Any] = asyncio.Queue()
        asked = []

        async def send(message: Any) -> None:
            if "text" in message:
                asked.append(message)
                events.put_nowait({"type": "websocket.receive", "text": ACK})

        client = Client("websocket", events.get, send, Limits(heartbeat=0.02, heartbeat_timeout=0.05))
        events.put_nowait({"type": "websocket.connect"})
        await client.receive()
        await client.send({"type": "websocket.accept"})
        deadline = asyncio.get_running_loop().time() + 10
        while len(asked) < 2 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # four times the deadline
        is_gone = client.is_gone
        await client.finish()
        return is_gone

    assert not asyncio.run(scenario())


def test_what_is_raised_again_and_again_does_not_grow() -> None:
    """Its traceback holds the frames of one raise."""

    async def receive() -> Any:
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(_message: Any) -> None:
        """Never called."""

    async def scenario() -> int:
        client = Client("websocket", receive, send, Limits(raise_gone=True))
        await client.receive()
        for _ in range(100):
            with pytest.raises(PeerGone) as raised:
                await client.send({"type": "websocket.send", "text": "x"})
        await client.finish()
        return len(raised.traceback)

    assert asyncio.run(scenario()) < 10


def test_groups_of_others_are_theirs_and_each_own_one_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """A membership that was made for somebody else stays; one that cannot be left does not keep the others."""
    memory = pytest.importorskip("channels.layers").InMemoryChannelLayer
    recording = pytest.importorskip("hangup.channels")._RecordingLayer

    class Failing(memory):  # type: ignore[misc]
        async def group_discard(self, group: str, channel: str) -> None:
            if group == "a":
                raise ConnectionError("no Redis")
            await super().group_discard(group, channel)

    async def scenario() -> dict[str, set[str]]:
        real = Failing()
        layer = recording(real, SimpleNamespace(channel_name="ours"))
        for group in "abc":
            await layer.group_add(group, "ours")
        await layer.group_add("game", "theirs")
        for _ in range(2):  # back in between by another way
            await real.group_add("room", "theirs")
            await layer.group_discard("room", "theirs")
        await layer.discard_all()
        return {group: set(members) for group, members in real.groups.items() if members}

    with caplog.at_level(logging.ERROR, "hangup.channels"):
        assert asyncio.run(scenario()) == {"a": {"ours"}, "game": {"theirs"}}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_discard_that_is_cancelled_leaves_no_dead_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next member's messages are relayed again."""
    fanout = pytest.importorskip("hangup.channels").GroupFanout
    layer = pytest.importorskip("channels.layers").InMemoryChannelLayer()
    heard: asyncio.Queue[Any] = asyncio.Queue()

    class Members(set[Any]):
        """Of no server."""

        def __init__(self, policy: Any = None) -> None:
            super().__init__()

        send = staticmethod(heard.put_nowait)

    class Consumer:
        """A native one."""

        scope = {"extensions": {NATIVE: object()}}  # noqa: RUF012 - as Channels has it

        def remember_fanout(self, *_: Any) -> None:
            """Nothing."""

        forget_fanout = remember_fanout

    monkeypatch.setattr("hangup._asgi.fanout.Broadcaster", Members)
    monkeypatch.setattr(fanout, "_layer", layer)

    async def scenario() -> Any:
        orders, first = fanout(), Consumer()
        await orders.add("orders", first)
        leaving = asyncio.ensure_future(orders.discard("orders", first))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving})
        second = Consumer()
        await orders.add("orders", second)
        await orders.send("orders", "served")
        said = await asyncio.wait_for(heard.get(), 5)
        await orders.discard("orders", second)
        return leaving.cancelled(), said

    assert asyncio.run(scenario()) == (True, "served")


def test_pieces_of_a_synchronous_iterator_share_their_context() -> None:
    """What a generator sets it finds again, and may reset: Django runs all of it in one context without us."""
    one_by_one = pytest.importorskip("hangup.django.pieces").one_by_one
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")

    def made() -> Iterator[str]:
        token = tenant.set("acme")
        try:
            yield tenant.get()
            yield tenant.get()
        finally:
            tenant.reset(token)

    async def scenario() -> list[str]:
        return [piece async for piece in one_by_one(made(), RequestClient())]

    assert asyncio.run(scenario()) == ["acme", "acme"]
