"""Native WebSockets of an asyncio loop.

How
    The native dispatcher's descriptor is watched by the loop. A turn is kept until the application asks for what it
    holds: a client whose application is behind is not read.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Callable, Protocol

from .. import _diagnostics, _hangup


class Connection(Protocol):
    """What is told of its WebSocket, on the loop's thread."""

    @property
    def native(self) -> Any:
        """Its WebSocket."""

    def take_turn(self, turn: Any) -> None:
        """There are events."""

    def look(self) -> None:
        """There is room again, or the WebSocket is over."""


class LoopDispatcher:
    """The native WebSockets of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        _hangup.widen_descriptor_table()  # the engine is a second thread, and this one accepts
        self._native = _hangup.Dispatcher(None)
        self._connections: dict[int, Connection] = {}
        loop.add_reader(self._native.fileno(), self._look)

    def open(self, connection: Connection, start: Callable[[Any], Any]) -> Any:
        """Starts a native WebSocket.

        Args:
            connection: is told of it.
            start: makes it, of the native dispatcher.
        """
        _diagnostics.refresh()
        native = start(self._native)
        self._connections[native.id] = connection
        return native

    def forget(self, native: Any) -> None:
        """Nobody is told of it any more."""
        self._connections.pop(native.id, None)

    def _look(self) -> None:
        for number in self._native.told():
            if number in self._connections:
                self._connections[number].look()
        while (turn := self._native.try_next()) is not None:
            if turn.id in self._connections:
                self._connections[turn.id].take_turn(turn)
            else:
                throw_away(turn)


def natives() -> list[Any]:
    """The native WebSockets of all loops, as far as somebody is told of them."""
    there = [list(dispatcher._connections.values()) for dispatcher in list(_dispatchers.values())]
    return [connection.native for connections in there for connection in connections]


def throw_away(turn: Any) -> None:
    """Ends a turn whose events nobody wants."""
    while turn.take() is not None:
        pass


_dispatchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopDispatcher] = (
    weakref.WeakKeyDictionary()
)


def running_dispatcher() -> LoopDispatcher:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _dispatchers:
        _diagnostics.listen()
        _dispatchers[loop] = LoopDispatcher(loop)
    return _dispatchers[loop]
