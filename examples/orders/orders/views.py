"""What the shop and its customers ask for by HTTP."""

import json

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404

from . import presence
from .consumers import ORDERS
from .models import Order
from .tokens import token_for


def health(request):
    return JsonResponse({"status": "ok"})


def sign_in(request):
    return JsonResponse({"token": token_for(json.loads(request.body)["customer"])})


def orders(request):
    """Places an order, and tells everybody who is connected."""
    if request.method != "POST":
        return JsonResponse({"orders": [order.as_json() for order in Order.objects.order_by("-pk")[:100]]})
    order = Order.objects.create(**json.loads(request.body))
    told = {"type": "order.placed", "order": order.as_json()}
    async_to_sync(get_channel_layer().group_send)(ORDERS, told)
    return JsonResponse(order.as_json(), status=201)


def invoice(request, number):
    """Writes the invoice of an order for the accountants."""
    order = get_object_or_404(Order, pk=number)
    with (settings.INVOICES / f"{number}.txt").open("w") as file:
        file.write(f"{order.item}: {order.price}\n")
    return HttpResponse(status=204)


def customers(request):
    """Who is connected."""
    return JsonResponse({"customers": presence.customers()})


def report(request):
    """The accountants' table, which their own program fills."""
    with connection.cursor() as cursor:
        cursor.execute("select month, total from accounting")
        return JsonResponse({"months": cursor.fetchall()})
