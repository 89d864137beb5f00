"""Running something where the application's handlers run, from a thread that is not there."""

from __future__ import annotations

import collections
import contextlib
import os
from typing import Any, Callable

from .._green import patched_by
from . import threads


class Errands:
    """Of this process: threads are started for them, a hub has a greenlet that waits for them."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Callable[[], Any]] = collections.deque()
        self._hub = patched_by()
        self._ends: tuple[int, ...] = ()
        if self._hub is not None:
            self._ends = os.pipe()
            os.set_blocking(self._ends[1], False)
            _HUBS[self._hub](self._run_in_hub)

    def run(self, function: Callable[[], Any]) -> bool:
        """Has it run soon. From any thread; never waits."""
        if self._hub is None:
            threads.start(function)
            return True
        self._waiting.append(function)
        with contextlib.suppress(BlockingIOError):  # full: the greenlet has been told
            os.write(self._ends[1], b"!")
        return True

    def _run_in_hub(self, wait: Callable[[int], Any], spawn: Callable[..., Any]) -> None:
        pid = os.getpid()
        while True:
            wait(self._ends[0])
            if os.getpid() != pid:
                return  # in a forked child: the number, and what it tells, are the parent's
            os.read(self._ends[0], 4096)
            while self._waiting:
                spawn(self._waiting.popleft())


def _gevent(run: Callable[..., Any]) -> None:
    import gevent
    from gevent.socket import wait_read

    gevent.spawn(run, wait_read, gevent.spawn)


def _eventlet(run: Callable[..., Any]) -> None:
    import eventlet
    from eventlet.hubs import trampoline

    eventlet.spawn_n(run, lambda fd: trampoline(fd, read=True), eventlet.spawn_n)


_HUBS: dict[str, Callable[..., Any]] = {"gevent": _gevent, "eventlet": _eventlet}
