"""The WebSocket of a customer: what becomes of the orders."""

from decimal import Decimal

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db.models import Sum
from hangup.channels import HangupConsumerMixin as SafeConsumerMixin

from . import presence
from .models import Order

ORDERS = "orders"


class OrderConsumer(SafeConsumerMixin, AsyncJsonWebsocketConsumer):
    heartbeat = 15.0

    async def connect(self):
        self.customer = self.scope["customer"]
        if self.customer is None:
            await self.close(code=4401)
            return
        await self.accept()
        await self.channel_layer.group_add(ORDERS, self.channel_name)
        await presence.enter(self.customer)
        await self.safe_send_json({"type": "welcome", "customer": self.customer})

    async def disconnect(self, code):
        if self.customer is not None:
            await presence.leave(self.customer)
            await self.channel_layer.group_discard(ORDERS, self.channel_name)

    async def receive_json(self, content):
        """What a customer asks for."""
        if content["type"] == "history":
            async for order in Order.objects.order_by("-pk")[:10]:
                await self.safe_send_json({"type": "order", **order.as_json()})
        elif content["type"] == "cancel":
            await self.channel_layer.group_send(
                ORDERS, {"type": "order.cancelled", "number": content["number"]}
            )
        elif content["type"] == "total":
            total = await Order.objects.aaggregate(total=Sum("price"))
            await self.safe_send_json({"type": "total", "total": total["total"] or Decimal(0)})

    async def order_placed(self, event):
        """What the group is told."""
        await self.send_json({"type": "order", **event["order"]})

    async def order_cancelled(self, event):
        await self.send_json({"type": "cancelled", "number": event["number"]})
