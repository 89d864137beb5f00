"""What a client sends and gets piece by piece, for Django under ASGI; under WSGI: :mod:`hangup._pieces`.

Promised
    Synchronous iterators under ASGI are asked piece by piece, instead of being read to their end first, and closed
    as soon as they have made the piece after their client's departure, at the latest. Asynchronous ones are closed at
    once.

How
    The request's thread goes on asking while the event loop sends, so that a piece is sent when it is made, and many
    small ones do not change threads one by one. It makes at most ``AHEAD`` before all of that was sent.

Not promised
    Asynchronous iterators under WSGI: Django reads them to their end first.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Optional

from asgiref.sync import sync_to_async

from .._client import Client

#: Bytes that are made before what was made is sent, and what a piece counts for besides its own.
AHEAD, PIECE = 64 * 1024, 256
#: Seconds that this may take before the first of them is sent: two threads at the same time are slower than one.
QUICK = 0.002

_END = object()


class _Failure:
    """The iterator's, behind the pieces that it made."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Maker:
    """Asks a synchronous iterator in the request's thread, for who takes its pieces in the event loop."""

    def __init__(self, pieces: Iterator[Any], client: Client) -> None:
        self._pieces = pieces
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()  # one for all pieces, as if they were read in one go
        self._made: deque[Any] = deque()
        self._making: Optional[asyncio.Task[None]] = None
        self._arrived = asyncio.Event()
        self._is_awaited = False
        self._is_stopped = False

    async def take(self) -> Any:
        """The next piece, or ``_END``."""
        while not self._made:
            if self._making is None or self._making.done():
                await self._begin()
            else:
                self._arrived.clear()
                self._is_awaited = True
                if not (self._made or self._making.done()):
                    await self._arrived.wait()
        piece = self._made.popleft()
        if isinstance(piece, _Failure):
            raise piece.error
        return piece

    async def _begin(self) -> None:
        if self._making is not None:
            self._making.result()
        make = sync_to_async(functools.partial(self._context.run, self._make), thread_sensitive=True)
        self._making = self._loop.create_task(make())
        self._making.add_done_callback(self._tell)
        await asyncio.wait({self._making}, timeout=QUICK)

    async def stop(self) -> None:
        """No piece is asked for any more; one that is being made is not waited for."""
        self._is_stopped = True
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
            await asyncio.wait({making})

    def _make(self) -> None:
        cost = 0
        while cost < AHEAD:
            piece: Any = _END
            if not (self._is_stopped or self._client.gone):
                try:
                    piece = next(self._pieces, _END)
                except BaseException as error:  # SystemExit in a task would end the server
                    piece = _Failure(error)
            self._made.append(piece)
            if self._is_awaited:
                self._is_awaited = False
                self._loop.call_soon_threadsafe(self._tell)
            if piece is _END or isinstance(piece, _Failure):
                return
            cost += len(piece) + PIECE

    def _tell(self, _making: Any = None) -> None:
        self._arrived.set()


async def one_by_one(pieces: Iterator[Any], client: Client) -> AsyncIterator[Any]:
    """The pieces of a synchronous iterator, made in the request's thread."""
    maker = _Maker(pieces, client)
    try:
        while not client.gone:
            piece = await maker.take()
            if piece is _END or client.gone:
                return
            yield piece
    finally:
        await maker.stop()


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
