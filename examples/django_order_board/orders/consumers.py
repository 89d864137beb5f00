"""The WebSocket of a page."""

from __future__ import annotations

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from hangup.channels import HangupConsumerMixin

from .board import EVERYBODY, group_of, members
from .models import Order


class BoardConsumer(HangupConsumerMixin, AsyncJsonWebsocketConsumer):
    """Sends a page what is on the board, and then what changes. Orders are placed by HTTP."""

    heartbeat = 15.0  # seconds of silence; the page answers

    async def connect(self) -> None:
        """Refuses who has no token; the others get what is on the board."""
        name = self.scope["user"]
        if name is None:
            await self.close()
            return
        await self.accept()
        self.groups = [EVERYBODY, group_of(name)]
        for group in self.groups:
            await self.channel_layer.group_add(group, self.channel_name)
        members[self.channel_name] = name
        orders = Order.objects.exclude(status=Order.Status.COLLECTED).order_by("pk")
        await self.send_json({"type": "orders", "orders": [order.as_json() async for order in orders]})
        await self.channel_layer.group_send(EVERYBODY, {"type": "board.members"})

    async def disconnect(self, code: int) -> None:
        """Channels leaves ``groups`` by itself before."""
        members.pop(self.channel_name, None)
        await self.channel_layer.group_send(EVERYBODY, {"type": "board.members"})

    async def board_members(self, event: dict) -> None:
        """Each page's consumer looks for itself: of two lists that were sent, the older one might come last."""
        await self.send_json({"type": "here", "names": sorted(set(members.values()))})

    async def board_message(self, event: dict) -> None:
        """What a group is told."""
        await self.send_json(event["message"])
