"""Threads of the system's, under hubs that put their own in place of Python's."""

from __future__ import annotations

import _thread
import sys
from typing import Any, Callable


def _unpatched(name: str) -> Any:
    if monkey := sys.modules.get("gevent.monkey"):
        return monkey.get_original("_thread", name)
    if patcher := sys.modules.get("eventlet.patcher"):
        return getattr(patcher.original("_thread"), name)
    return getattr(_thread, name)


def start(function: Callable[..., Any], *args: Any) -> None:
    """Runs a function in a thread that nobody joins.

    Raises:
        RuntimeError: there can be no more threads.
    """
    _unpatched("start_new_thread")(function, args)


def lock() -> Any:
    """One that nobody may wait with for long: it stops a hub."""
    return _unpatched("allocate_lock")()


class Alarm:
    """A wait that can be ended, once."""

    def __init__(self) -> None:
        self._lock = lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> bool:
        """Waits, at most ``seconds``; whether it was rung."""
        rung: bool = self._lock.acquire(True, max(seconds, 0.0))
        if rung:
            self._lock.release()  # for the next one who waits
        return rung

    def ring(self) -> None:
        """Ends all waits, also those to come. Idempotent, if it is not called at the same time."""
        if self._lock.locked():
            self._lock.release()
