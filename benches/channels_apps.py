"""The service of Channels that is measured: as much of Engine.IO and Socket.IO as the load client needs, by a consumer.

``stock`` sends each broadcast by ``group_send``, ``hangup`` by ``GroupFanout``. Both use channels_redis. Nobody says
anything to the consumers of ``stock_idle`` and ``hangup_idle``, which need no Redis.
"""

from __future__ import annotations

import os
from typing import Any

_ASKED, _ANSWERED = '42["broadcast",', '42["news",'
_OPEN = '0{"sid":"%s","upgrades":[],"pingInterval":3600000,"pingTimeout":3600000,"maxPayload":1000000}'
_GROUP = "everybody"


def _set_up() -> None:
    import django
    from django.conf import settings

    layer: dict[str, Any] = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    if "REDIS" in os.environ:
        layer["BACKEND"] = "channels_redis.core.RedisChannelLayer"
        layer["CONFIG"] = {"hosts": [os.environ["REDIS"]], "capacity": 10_000}
    settings.configure(SECRET_KEY="of a benchmark", CHANNEL_LAYERS={"default": layer}, LOGGING_CONFIG=None)
    django.setup()


def stock() -> Any:
    """Channels alone."""
    _set_up()
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            await self.channel_layer.group_add(_GROUP, self.channel_name)
            await self.accept()
            await self.send(_OPEN % self.channel_name)

        async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
            if text_data.startswith(_ASKED):
                news = _ANSWERED + text_data[len(_ASKED) :]
                await self.channel_layer.group_send(_GROUP, {"type": "news", "text": news})
            elif text_data == "40":
                await self.send('40{"sid":"x"}')

        async def news(self, event: dict[str, str]) -> None:
            await self.send(event["text"])

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(_GROUP, self.channel_name)

    return Consumer.as_asgi()


def hangup() -> Any:
    """Channels with hangup."""
    _set_up()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from hangup.channels import GroupFanout, HangupConsumerMixin

    fanout = GroupFanout()

    class Consumer(HangupConsumerMixin, AsyncWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            await fanout.add(_GROUP, self)
            await self.accept()
            await self.send(_OPEN % self.channel_name)

        async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
            if text_data.startswith(_ASKED):
                await fanout.send(_GROUP, _ANSWERED + text_data[len(_ASKED) :])
            elif text_data == "40":
                await self.send('40{"sid":"x"}')

    return Consumer.as_asgi()


def stock_idle() -> Any:
    """Channels alone, with a consumer in a group."""
    _set_up()
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
        groups = (_GROUP,)

    return Consumer.as_asgi()


def hangup_idle() -> Any:
    """The same with all of hangup, as it is without any settings."""
    _set_up()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from hangup.asgi import Hangup
    from hangup.channels import HangupConsumerMixin

    class Consumer(HangupConsumerMixin, AsyncWebsocketConsumer):  # type: ignore[misc]
        groups = (_GROUP,)

    return Hangup(Consumer.as_asgi())
