"""Inside, many at once; or one alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

#: Seconds from one look to the next, of who waits to be alone.
LOOK = 0.0005


class Gate:
    """A lock that threads or greenlets share (``with gate``), or one has alone. Whoever is inside may enter again.

    Made in the process, and under the hub, that uses it.
    """

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}
        self._open = threading.Event()
        self._open.set()
        self._turn = threading.Lock()
        #: Who is alone, or is to be.
        self._alone = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        depth = self._inside.get(me, 0)
        self._inside[me] = depth + 1  # said before it is asked: whoever closes looks after closing
        while not depth and not self._open.is_set():
            del self._inside[me]
            self._open.wait()
            self._inside[me] = 1

    def __exit__(self, *_exception: object) -> None:
        me = threading.get_ident()
        depth = self._inside[me] - 1
        if depth:
            self._inside[me] = depth
        else:
            del self._inside[me]

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """For those who wait for something. Whoever is alone stays."""
        me = threading.get_ident()
        if self._alone == me:
            yield
            return
        depth = self._inside.pop(me, 0)
        try:
            yield
        finally:
            if depth:
                self.__enter__()
                self._inside[me] = depth

    @contextlib.contextmanager
    def alone(self, limit: float) -> Iterator[bool]:
        """True inside if nobody else is there, and nobody comes; False if it did not come to that.

        Args:
            limit: seconds for which others may take to leave.
        """
        me = threading.get_ident()
        with self._turn:
            self._open.clear()
            depth = self._inside.get(me, 0)
            self._inside[me] = depth + 1
            self._alone = me
            try:
                yield self._others_leave(me, time.monotonic() + limit)
            finally:
                self._alone = 0
                self.__exit__()
                self._open.set()

    def _others_leave(self, me: int, deadline: float) -> bool:
        while any(other != me for other in list(self._inside)):
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True
