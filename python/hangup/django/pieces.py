"""What a client sends and gets piece by piece, for Django under ASGI; under WSGI: :mod:`hangup._pieces`.

Promised
    Synchronous iterators under ASGI are asked piece by piece, instead of being read to their end first, and closed
    as soon as they have made the piece after their client's departure, at the latest. Asynchronous ones are closed at
    once.

Not promised
    Asynchronous iterators under WSGI: Django reads them to their end first.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async

from .._client import Client

_END = object()


async def one_by_one(pieces: Iterator[Any], client: Client) -> AsyncIterator[Any]:
    """The pieces of a synchronous iterator, each made in the request's thread."""
    context = contextvars.copy_context()  # one for all pieces, as if they were read in one go
    make = sync_to_async(functools.partial(context.run, next, pieces, _END), thread_sensitive=True)
    while not client.gone:
        piece: Any = await make()
        if piece is _END or client.gone:
            return
        yield piece


async def until_gone(pieces: Any, client: Client) -> AsyncIterator[Any]:
    """The pieces of an asynchronous iterator: for Django 4, which does not cancel them."""
    left = asyncio.ensure_future(client.wait_gone())
    try:
        while not client.gone:
            coming = asyncio.ensure_future(pieces.__anext__())
            try:
                await asyncio.wait({coming, left}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait({coming})
            if coming.cancelled() or isinstance(coming.exception(), StopAsyncIteration):
                return
            yield coming.result()
    finally:
        left.cancel()
        with contextlib.suppress(AttributeError):  # an iterator that is no generator
            await pieces.aclose()
