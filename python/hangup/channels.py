"""Consumers of Django Channels whose clients may leave at any time::

    class Chat(hangup.channels.HangupConsumerMixin, AsyncJsonWebsocketConsumer): ...

:class:`GroupFanout` sends one message to many of them.

Promised
    ``send()`` to a client that left does nothing; ``safe_send()`` says whether it is there. ``disconnect()`` runs once
    for each client whose ``connect()`` went through, whatever ended its consumer: the client, an error of a handler, a
    cancellation by the server. Each group is discarded once, also one that ``disconnect()`` forgets. Errors of
    handlers go on to the server, which logs them.

How
    The consumer is run as :class:`hangup.asgi.Hangup` runs an application, or by the one around it; its channel layer
    is seen through a record of the groups it entered.

Not promised
    A server that is killed discards nothing. ``HANGUP=off`` and ``observe`` leave consumers as they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Callable, Optional, Union

from . import _mode
from ._asgi.client import Client, Receive, Send, client_of
from ._asgi.fanout import GroupFanout
from ._asgi.limits import NO_CLOSE_FRAME, Limits
from .asgi import beat, enter
from .exceptions import PeerGone

__all__ = ["GroupFanout", "HangupConsumerMixin"]

_LOG = logging.getLogger("hangup.channels")

#: RFC 6455 section 7.4.1.
INTERNAL_ERROR = 1011

Sent = Union[bool, Coroutine[Any, Any, bool]]


class HangupConsumerMixin:
    """To be named before ``WebsocketConsumer``, ``AsyncWebsocketConsumer`` or one of their JSON kinds.

    Attributes:
        heartbeat (float): seconds of silence after which the client is asked whether it is there: by a ping under
            ``hangup.uvicorn:WebSocketProtocol``, elsewhere by ``{"type": "heartbeat"}``, which it has to answer, with
            ``{"type": "heartbeat_ack"}`` for instance, which ``receive()`` does not see. None: never.
        heartbeat_timeout (float): seconds for the answer; without one, ``disconnect(1006)``.
    """

    heartbeat: Optional[float] = None
    heartbeat_timeout: float = 20.0

    _sync: bool
    _client: Optional[Client] = None
    _layer: Any = None
    _fanouts: frozenset[tuple[GroupFanout, str]] = frozenset()
    _is_connected = False
    _is_disconnected = False

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> Any:
        """ASGI's."""
        run: Any = super().__call__  # type: ignore[misc]
        if _mode.mode() != _mode.ON:
            return await run(scope, receive, send)
        client = around = client_of(receive)
        if client is None:
            client, scope = enter(scope, receive, send, Limits())
            receive, send = client.receive, client.send
        if self.heartbeat is not None:
            beat(scope, client, self.heartbeat, self.heartbeat_timeout)
        self._client = client
        code = INTERNAL_ERROR
        try:
            return await run(scope, receive, send)
        except PeerGone as error:
            if not client.is_own(error):
                raise
        except asyncio.CancelledError:
            code = NO_CLOSE_FRAME
            raise
        finally:
            try:
                await self._part(client.code or code)
            finally:
                if around is None:
                    await client.finish()

    async def _part(self, code: int) -> None:
        from channels.db import database_sync_to_async
        from channels.exceptions import StopConsumer

        disconnect: Any = self.websocket_disconnect
        if self._sync:
            disconnect = database_sync_to_async(disconnect)
        try:
            if self._is_connected and not self._is_disconnected:
                await disconnect({"type": "websocket.disconnect", "code": code})
        except StopConsumer:
            pass
        finally:
            for fanout, group in self._fanouts:
                await _tried(fanout.discard(group, self))
            if isinstance(self._layer, _RecordingLayer):
                await self._layer.discard_all()

    # -- Channels' ------------------------------------------------------------------------------------------

    @property
    def channel_layer(self) -> Any:
        """The channel layer."""
        return self._layer

    @channel_layer.setter
    def channel_layer(self, layer: Any) -> None:
        self._layer = layer if layer is None or self._client is None else _RecordingLayer(layer, self)

    def websocket_connect(self, message: Any) -> Any:
        """Channels'."""
        connect: Any = super().websocket_connect  # type: ignore[misc]
        if not self._sync:
            return self._connect(connect(message))
        connect(message)
        self._is_connected = True
        return None

    async def _connect(self, connecting: Coroutine[Any, Any, None]) -> None:
        await connecting
        self._is_connected = True

    def websocket_disconnect(self, message: Any) -> Any:
        """Channels': discards the groups, calls ``disconnect()``, and ends the consumer."""
        from channels.exceptions import StopConsumer

        if self._is_disconnected:
            raise StopConsumer
        self._is_disconnected = True
        if isinstance(self._layer, _RecordingLayer):
            self._layer.part()
        return super().websocket_disconnect(message)  # type: ignore[misc]

    # -- sending --------------------------------------------------------------------------------------------

    def safe_send(self, text_data: Optional[str] = None, bytes_data: Optional[bytes] = None) -> Sent:
        """Sends, and returns whether the client is still there; to be awaited in asynchronous consumers."""
        return self._safely(self.send, text_data, bytes_data)  # type: ignore[attr-defined]

    def safe_send_json(self, content: Any) -> Sent:
        """The same, for the JSON kinds."""
        return self._safely(self.send_json, content)  # type: ignore[attr-defined]

    def _safely(self, send: Callable[..., Any], *data: Any) -> Sent:
        if not self._sync:
            return self._safely_awaited(send, *data)
        if self._is_there:
            try:
                send(*data)
            except PeerGone:
                return False
        return self._is_there

    async def _safely_awaited(self, send: Callable[..., Any], *data: Any) -> bool:
        if self._is_there:
            try:
                await send(*data)
            except PeerGone:
                return False
        return self._is_there

    @property
    def _is_there(self) -> bool:
        return self._client is None or self._client.is_there

    # -- GroupFanout's --------------------------------------------------------------------------------------

    def remember_fanout(self, fanout: GroupFanout, group: str) -> None:
        """It is left when the client leaves."""
        self._fanouts |= {(fanout, group)}

    def forget_fanout(self, fanout: GroupFanout, group: str) -> None:
        """It was left."""
        self._fanouts -= {(fanout, group)}

    def hangup_fanout(self, message: Any) -> Any:
        """Channels': a message for a client that is not native."""
        data = message["data"]
        return self.send(text_data=data) if isinstance(data, str) else self.send(bytes_data=data)  # type: ignore[attr-defined]


class _RecordingLayer:
    """A channel layer that knows which groups its consumer entered through it, and has not left."""

    __slots__ = ("_consumer", "_entered", "_layer", "_parted")

    def __init__(self, layer: Any, consumer: Any) -> None:
        self._layer = layer
        self._consumer = consumer
        self._entered: set[str] = set()
        #: Groups that were left since the consumer ends; None before.
        self._parted: Optional[set[str]] = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    async def group_add(self, group: str, channel: str) -> None:
        """Channels'."""
        if self._is_own(channel):
            self._entered.add(group)
        await self._layer.group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Channels'; of its own groups once, when the consumer ends."""
        if not self._is_own(channel):
            await self._layer.group_discard(group, channel)
        elif self._parted is None or group not in self._parted:
            await self._layer.group_discard(group, channel)
            self._entered.discard(group)
            if self._parted is not None:
                self._parted.add(group)

    def part(self) -> None:
        """The consumer ends."""
        if self._parted is None:
            self._parted = set()

    async def discard_all(self) -> None:
        """Of what is left, each whatever becomes of the others."""
        self.part()
        for group in sorted(self._entered):
            await _tried(self.group_discard(group, self._consumer.channel_name))

    def _is_own(self, channel: str) -> bool:
        return channel == getattr(self._consumer, "channel_name", None)


async def _tried(discarding: Coroutine[Any, Any, None]) -> None:
    try:
        await discarding
    except Exception:  # each layer has its own
        _LOG.exception("A group could not be left")
