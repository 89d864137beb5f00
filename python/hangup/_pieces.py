"""Uploads that end early, and responses that nobody reads any more, under WSGI.

Promised
    A view reads an upload whole, or has an error: never a part as if it were all. A generator is closed as soon as it
    has made the piece after its client's departure, at the latest.

Not promised
    That a generator that waits in its own code is woken: nobody but itself can do that.
"""

from __future__ import annotations

import errno
import math
import sys
from collections.abc import Iterator
from typing import Any, Optional

from ._client import Client
from .exceptions import PeerGone


class Upload:
    """The stream of a request's body, whose end before its length is an error if its client is gone. Else somebody
    changed the stream, or its length.

    Args:
        stream: the framework's.
        length: in bytes, as the client said.
        client: whose it is.
    """

    def __init__(self, stream: Any, length: int, client: Client) -> None:
        self._stream = stream
        self._left = length
        self._client = client

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
            if not more:
                break
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

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _check(self, data: bytes) -> None:
        if not data and self._client.gone:
            raise PeerGone(errno.ECONNRESET, "the client left in the middle of its upload")

    def __getattr__(self, name: str) -> Any:
        """The stream's."""
        return getattr(self._stream, name)


class Pieces:
    """Pieces for a WSGI server, until the client has left: then the server is told so, as by a socket.

    Args:
        pieces: str or bytes.
        client: theirs.
        length: bytes of them all (``Content-Length``); None if it is not known. Who has them all may leave.
    """

    def __init__(self, pieces: Iterator[Any], client: Client, length: Optional[int] = None) -> None:
        self._pieces = pieces
        self._client = client
        self._missing = math.inf if length is None else length
        self.is_finished = self._missing <= 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._ask()
        try:
            piece = next(self._pieces)
        except StopIteration:
            self.is_finished = True
            raise
        self._ask()
        self._missing -= len(piece)
        self.is_finished = self._missing <= 0
        return piece

    def close(self) -> None:
        """Closes the iterator, if that can be done."""
        if hasattr(self._pieces, "close"):
            self._pieces.close()

    def _ask(self) -> None:
        if not self.is_finished and self._client.gone:
            raise PeerGone(errno.EPIPE, "the client left in the middle of its response")


def is_cut_short() -> bool:
    """Whether the server closes a response because of an error: it does so in any case (PEP 3333), here on the way out.

    For files, which servers send by themselves.
    """
    return sys.exc_info()[0] is not None
