"""One client of an ASGI server, and its groups: what the tests with real servers meet too rarely."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hangup import PeerGone
from hangup._asgi import fanout
from hangup._asgi.client import Client, Receive
from hangup._asgi.limits import GRACE, Limits
from hangup._client import AsgiClient
from hangup._websocket.member import EXTENSION as NATIVE
from hangup.asgi import Hangup

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


def kept_after(request: Callable[[Receive], Awaitable[None]]) -> bool:
    """Whether what the server had for a request waits for the collector when the request is over."""

    class Server:
        """Has one request, and nothing after it."""

        is_asked = False

        async def __call__(self) -> Any:
            if not self.is_asked:
                self.is_asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            return await asyncio.get_running_loop().create_future()

    async def scenario() -> bool:
        server = Server()
        known = weakref.ref(server)
        await request(server)
        del server
        await asyncio.sleep(0)
        return known() is not None

    gc.collect()
    gc.disable()
    try:
        return asyncio.run(scenario())
    finally:
        gc.enable()


async def no_send(_message: Any) -> None:
    """To nobody."""


async def of_django(receive: Receive) -> None:
    client = AsgiClient(receive, no_send)
    await client.receive()
    await asyncio.sleep(0)
    await client.close()


async def of_any_application(receive: Receive) -> None:
    client = Client("http", receive, no_send, Limits(raise_gone=True, send_timeout=60))
    await client.receive()
    await client.send({"type": "http.response.start", "status": 200})
    client._end(1013, "asgi_slow_clients")
    with contextlib.suppress(PeerGone):
        await client.send({"type": "http.response.body"})
    await client.finish()


@pytest.mark.parametrize("request_", [of_django, of_any_application])
def test_a_request_does_not_wait_for_the_collector(request_: Callable[[Receive], Awaitable[None]]) -> None:
    """Nothing of it refers to itself when it is over."""
    assert not kept_after(request_)


def test_who_waits_for_the_end_of_a_request_that_is_over_is_cancelled() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "more_body": False} if waiting is None else await waiting

    async def scenario() -> None:
        nonlocal waiting
        client = AsgiClient(receive, no_send)
        await client.receive()
        waiting = asyncio.get_running_loop().create_future()
        left_behind = asyncio.ensure_future(client.receive())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await left_behind

    waiting: Any = None
    asyncio.run(scenario())


def test_an_error_of_receive_is_who_receives_s_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is heard ahead, for those who send; who does not ask for it is not told."""

    async def receive() -> Any:
        raise RuntimeError("of the server")

    async def scenario(*, asks: bool) -> None:
        client = Client("websocket", receive, no_send, Limits())
        await client.send({"type": "websocket.accept"})
        for _ in range(3):
            await client.send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0)
        if asks:
            with pytest.raises(RuntimeError, match="of the server"):
                await client.receive()
        await client.finish()
        del client
        gc.collect()  # asyncio says it when the task goes

    for asks in (True, False):
        asyncio.run(scenario(asks=asks))
    assert caplog.records == []


@pytest.mark.parametrize("has_left", [True, False])
def test_a_disconnect_of_starlette_s_passes_for_who_left_alone(has_left: bool) -> None:
    """Of another client, to which the handler sent as well, it is the handler's error."""
    disconnect = pytest.importorskip("starlette.websockets").WebSocketDisconnect

    async def app(_scope: Any, receive: Receive, _send: Any) -> None:
        if has_left:
            await receive()
        raise disconnect(1006)

    async def receive() -> Any:
        return {"type": "websocket.disconnect", "code": 1006}

    with contextlib.nullcontext() if has_left else pytest.raises(disconnect):
        asyncio.run(Hangup(app)({"type": "websocket", "asgi": {}}, receive, no_send))


def test_who_asks_for_ever_keeps_nobody_else_waiting() -> None:
    """daphne says once that an HTTP client left: an application in a loop is not told at each turn."""

    async def scenario() -> tuple[int, float]:
        events: asyncio.Queue[Any] = asyncio.Queue()
        events.put_nowait({"type": "http.disconnect"})
        told = 0

        async def send(_message: Any) -> None:
            """Never called."""

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            nonlocal told
            while (await receive())["type"] == "http.disconnect":
                told += 1

        loop = asyncio.get_running_loop()
        running = loop.create_task(Hangup(app)({"type": "http"}, events.get, send))
        began = loop.time()
        while told < 2 and loop.time() < began + 10:
            await asyncio.sleep(0.01)
        passed = loop.time() - began
        running.cancel()
        await asyncio.wait({running})
        return told, passed

    told, passed = asyncio.run(scenario())
    assert told == 2
    assert passed > GRACE / 2


@pytest.mark.parametrize("spec", [{}, {"spec_version": "2.1"}, {"spec_version": "2.4"}])
def test_a_scope_has_nothing_of_ours(spec: dict[str, str]) -> None:
    """Who compares or pickles it finds what the server said, but for a version in which sends raise."""
    stock = {"type": "websocket", "asgi": {"version": "3.0", **spec}}
    shown = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        shown.append(scope)

    async def nothing(*_: Any) -> Any:
        """Never called."""

    asyncio.run(Hangup(app)(stock, nothing, nothing))
    quiet = {"spec_version": "2.3"} if spec.get("spec_version") == "2.4" else spec
    assert shown == [{"type": "websocket", "asgi": {"version": "3.0", **quiet}}]


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

    monkeypatch.setattr(fanout, "Broadcaster", Members)
    monkeypatch.setattr(fanout.GroupFanout, "_layer", layer)

    async def scenario() -> Any:
        orders, first = fanout.GroupFanout(), Consumer()
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


def test_a_layer_that_fails_when_it_is_cancelled_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """channels_redis can raise something else than the cancellation: the last client's consumer has to end yet."""
    monkeypatch.setattr(fanout, "RETRY", 0.01)

    class Failing:
        async def new_channel(self) -> str:
            return "ours"

        async def group_add(self, _group: str, _channel: str) -> None:
            """Nobody is in it."""

        async def receive(self, _channel: str) -> Any:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                raise KeyError("a buffer") from None

    async def scenario() -> None:
        group = fanout.GroupFanout()
        await group._enter("everybody")
        await asyncio.sleep(0)  # it receives
        await asyncio.wait_for(group._rest(), 5)

    monkeypatch.setattr(fanout.GroupFanout, "_layer", Failing())
    asyncio.run(scenario())


def test_nothing_is_said_behind_a_close_that_waits_and_its_deadline_stays() -> None:
    """A client that is silent while the application's close waits in the server is given up as any other."""

    async def scenario() -> tuple[list[str], bool]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Any] = asyncio.Queue()
        events.put_nowait({"type": "websocket.connect"})
        said: list[str] = []

        async def send(message: Any) -> None:
            said.append(message["type"])
            if message["type"] == "websocket.close":
                await loop.create_future()

        client = Client("websocket", events.get, send, Limits(heartbeat=0.02, heartbeat_timeout=0.05))
        await client.receive()
        await client.send({"type": "websocket.accept"})
        await asyncio.wait_for(client.send({"type": "websocket.close"}), 10)
        is_gone = client.is_gone
        await client.finish()
        return said, is_gone

    assert asyncio.run(scenario()) == (["websocket.accept", "websocket.close"], True)
