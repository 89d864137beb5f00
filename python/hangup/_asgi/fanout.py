"""``group_send`` for many native clients.

How
    A process enters each group once, with one channel of its own, for all its native clients; what arrives there is
    broadcast to them. Everybody else is a member of the layer's group, as ever, and gets the same message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Optional

from .._websocket.broadcast import Broadcaster
from .._websocket.member import EXTENSION as NATIVE

logger = logging.getLogger("hangup.channels")

#: The handler of the mixin that sends it on to a client that is not native.
MESSAGE_TYPE = "hangup.fanout"
#: Seconds before a channel layer that failed is asked again.
RETRY = 1.0


class GroupFanout:
    """Groups of consumers whose messages are framed once for all native clients of a process.

    One for each process, made at module level; the names of its groups are the channel layer's. The consumers have
    :class:`HangupConsumerMixin`, which leaves the groups when the client does.

    Args:
        alias: of the channel layer.
        policy: what to do with a message for a native client whose queue has no room, see :class:`hangup.Broadcaster`.

    Raises:
        ValueError: there is no such policy, or it is ``block``, which would stop the event loop.
    """

    def __init__(self, alias: str = "default", *, policy: Optional[str] = None) -> None:
        if policy == "block":
            raise ValueError("policy: 'block' would stop the event loop")
        Broadcaster(policy=policy)
        self._policy = policy
        self._alias = alias
        self._groups: dict[str, Broadcaster] = {}
        self._lock: Optional[asyncio.Lock] = None
        self._channel = ""
        self._relaying: Optional[asyncio.Task[None]] = None
        self._renewing: Optional[asyncio.Task[None]] = None

    async def add(self, group: str, consumer: Any) -> None:
        """Adds a consumer; nothing happens if it is in the group."""
        consumer.remember_fanout(self, group)
        if not _is_native(consumer):
            await self._layer.group_add(group, consumer.channel_name)
            return
        async with self._entering:
            members = self._groups.get(group)
            if members is None:
                members = Broadcaster(policy=self._policy)
                await self._enter(group)
                self._groups[group] = members
            members.add(consumer)

    async def discard(self, group: str, consumer: Any) -> None:
        """Removes a consumer; nothing happens if it is not in the group."""
        consumer.forget_fanout(self, group)
        if not _is_native(consumer):
            await self._layer.group_discard(group, consumer.channel_name)
            return
        async with self._entering:
            members = self._groups.get(group)
            if members is None:
                return
            members.discard(consumer)
            if not len(members):
                del self._groups[group]
                try:
                    await self._layer.group_discard(group, self._channel)
                finally:
                    await self._rest()

    async def send(self, group: str, data: Any) -> None:
        """Sends a message to all clients of a group, in all processes.

        Args:
            group: its name.
            data: str for a text message, bytes for a binary one.

        Raises:
            TypeError: ``data`` is neither.
        """
        if not isinstance(data, (str, bytes)):
            raise TypeError(f"data: {type(data).__name__} is neither str nor bytes")
        await self._layer.group_send(group, {"type": MESSAGE_TYPE, "group": group, "data": data})

    @property
    def _layer(self) -> Any:
        from channels.layers import get_channel_layer

        return get_channel_layer(self._alias)

    @property
    def _entering(self) -> asyncio.Lock:
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock

    async def _enter(self, group: str) -> None:
        if self._relaying is None or self._relaying.done():
            self._channel = await self._layer.new_channel()
            layer, loop = self._layer, asyncio.get_running_loop()
            self._relaying = loop.create_task(self._relay(layer))
            if hasattr(layer, "group_expiry"):
                self._renewing = loop.create_task(self._renew(layer))
        await self._layer.group_add(group, self._channel)

    async def _rest(self) -> None:
        """No task is left for nobody."""
        if self._groups or self._relaying is None:
            return
        tasks = {task for task in (self._relaying, self._renewing) if task is not None}
        self._relaying = self._renewing = None  # also if we are cancelled meanwhile
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _renew(self, layer: Any) -> None:
        """Layers forget memberships, however many clients depend on ours."""
        while self._renewing is asyncio.current_task():
            await asyncio.sleep(layer.group_expiry / 3)
            for group in tuple(self._groups):
                async with self._entering:
                    if group not in self._groups:
                        continue
                    try:
                        await layer.group_add(group, self._channel)
                    except Exception:  # as in _relay()
                        logger.exception("The group %r could not be renewed", group)

    async def _relay(self, layer: Any) -> None:
        while self._relaying is asyncio.current_task():  # a layer may fail where it should be cancelled
            try:
                message = await layer.receive(self._channel)
            except Exception:  # each layer has its own; without us its clients would hear nothing any more
                logger.exception("The channel layer failed; it is asked again in %s s", RETRY)
                await asyncio.sleep(RETRY)
                continue
            if message["type"] != MESSAGE_TYPE:
                logger.warning(
                    "A message of type %r reached no native client: use GroupFanout.send", message["type"]
                )
                continue
            members = self._groups.get(message["group"])
            if members is not None:  # else the last of them left meanwhile
                members.send(message["data"])


def _is_native(consumer: Any) -> bool:
    return NATIVE in (consumer.scope.get("extensions") or {})
