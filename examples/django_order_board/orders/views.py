"""The page, and the requests that it makes."""

from __future__ import annotations

import functools
import json
import os

import hangup
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from .board import EVERYBODY, group_of, members, tell
from .models import Order
from .tokens import REQUESTS, WEBSOCKETS, token_for, user_of


def page(request: HttpRequest) -> HttpResponse:
    """The board."""
    return render(request, "board.html")


@require_POST
def sign_in(request: HttpRequest) -> JsonResponse:
    """A token for a name. A real application asks for a password."""
    name = text_of(request, "name")
    if not 0 < len(name) <= 20:
        return JsonResponse({"error": "a name of 1 to 20 characters"}, status=400)
    return JsonResponse({"token": token_for(name, REQUESTS), "name": name})


def signed_in(view):
    """Gives the view who posted. A token is no cookie: no other site can have it sent."""

    @functools.wraps(view)
    async def checked(request: HttpRequest, **arguments: object) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        name = user_of(request.headers.get("Authorization", "").removeprefix("Bearer "), REQUESTS)
        if name is None:
            return JsonResponse({"error": "sign in"}, status=401)
        return await view(request, name, **arguments)

    return checked


@signed_in
async def ticket(_request: HttpRequest, name: str) -> JsonResponse:
    """A token to connect with, now."""
    return JsonResponse({"token": token_for(name, WEBSOCKETS)})


@signed_in
async def place(request: HttpRequest, owner: str) -> JsonResponse:
    """A new order."""
    item = text_of(request, "item")
    if not 0 < len(item) <= 60:
        return JsonResponse({"error": "an item of 1 to 60 characters"}, status=400)
    order = await Order.objects.acreate(item=item, owner=owner)
    await tell(EVERYBODY, type="order", order=order.as_json())
    return JsonResponse({"order": order.as_json()}, status=201)


@signed_in
async def move(request: HttpRequest, _user: str, number: int) -> JsonResponse:
    """One step further; 409 if somebody else was quicker."""
    status, steps = text_of(request, "status"), Order.Status.values
    if status not in steps[1:]:
        return JsonResponse({"error": f"one of {', '.join(steps[1:])}"}, status=400)
    before = steps[steps.index(status) - 1]
    if not await Order.objects.filter(pk=number, status=before).aupdate(status=status):
        return JsonResponse({"error": f"is not {before}"}, status=409)
    order = await Order.objects.aget(pk=number)
    await tell(EVERYBODY, type="order", order=order.as_json())
    if status == Order.Status.READY:
        await tell(group_of(order.owner), type="notice", text=f"{order.item} is ready")
    return JsonResponse({"order": order.as_json()})


def counted(_request: HttpRequest) -> JsonResponse:
    """Who is here, what is guarded, and what was counted."""
    here = {"pid": os.getpid(), "here": sorted(members.values())}
    return JsonResponse({**here, "status": hangup.status(), "stats": hangup.stats()})


def text_of(request: HttpRequest, field: str) -> str:
    """A field of the JSON that was posted."""
    return str(json.loads(request.body).get(field, "")).strip()
