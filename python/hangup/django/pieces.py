"""What a client sends and gets piece by piece: uploads that end early, responses that nobody reads any more.

Promised
    A view reads an upload whole, or ``UnreadablePostError``: never a part as if it were all. A generator is closed as
    soon as it has made the piece after its client's departure, at the latest; asynchronous ones at once.
    Synchronous iterators under ASGI are asked piece by piece, instead of being read to their end first.

Not promised
    That a generator that waits in its own code, under WSGI, is woken: nobody but itself can do that.
    Asynchronous iterators under WSGI: Django reads them to their end first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async

from .._client import Client
from ..exceptions import PeerGone


class Upload:
    """The stream of a request's body, whose end before its length is an error.

    Args:
        stream: Django's.
        length: in bytes, as the client said.
    """

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: Any = -1, /) -> bytes:
        """As of a binary file.

        Raises:
            PeerGone: the client left before it had sent everything.
        """
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data: bytes = self._stream.read(size)
        while len(data) < wanted:
            more = self._stream.read(wanted - len(data))
            self._check(more)
            data += more
        self._left -= len(data)
        return data

    def readline(self, size: Any = -1, /) -> bytes:
        """As of a binary file; see :meth:`read`."""
        line: bytes = self._stream.readline(size)
        if size != 0 and self._left > 0:
            self._check(line)
        self._left -= len(line)
        return line

    def _check(self, data: bytes) -> None:
        if not data:
            raise PeerGone(errno.ECONNRESET, "the client left in the middle of its upload")

    def __getattr__(self, name: str) -> Any:
        """Django's."""
        return getattr(self._stream, name)


class Pieces:
    """Pieces for a WSGI server, until the client has left: then the server is told so, as by a socket."""

    def __init__(self, pieces: Iterator[bytes], client: Client) -> None:
        self._pieces = pieces
        self._client = client
        self.is_finished = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._ask()
        try:
            piece = next(self._pieces)
        except StopIteration:
            self.is_finished = True
            raise
        self._ask()
        return piece

    def _ask(self) -> None:
        if self._client.gone:
            raise PeerGone(errno.EPIPE, "the client left in the middle of its response")


_END = object()


async def one_by_one(pieces: Iterator[Any], client: Client) -> AsyncIterator[Any]:
    """The pieces of a synchronous iterator, each made in the request's thread."""
    make = sync_to_async(functools.partial(next, pieces, _END), thread_sensitive=True)
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
