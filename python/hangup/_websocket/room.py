"""Waiting until a client has taken enough of what waits for it: a thread in native code, a greenlet in its hub."""

from __future__ import annotations

from typing import Any

#: Seconds between two looks for signals, while a thread waits.
LOOK = 1.0


def wait_in_thread(native: Any, level: int) -> None:
    """Returns when no more than ``level`` bytes wait, or the connection is over."""
    while not native.wait_for_room(level, LOOK):
        pass  # signal handlers have run


class HubRoom:
    """Where greenlets wait.

    Args:
        event: one of the hub's.
    """

    __slots__ = ("_told",)

    def __init__(self, event: Any) -> None:
        self._told = event

    def wait(self, native: Any, level: int) -> None:
        """As :func:`wait_in_thread`, for a connection whose dispatcher is told (``tells=True``)."""
        while not native.wait_for_room(level, 0.0):
            self._told.clear()
            self._told.wait()

    def look(self) -> None:
        """There is the room that was waited for, or the connection is over."""
        self._told.set()
