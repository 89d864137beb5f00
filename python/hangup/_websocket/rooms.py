"""The books of python-socketio's client manager, when thousands of clients leave at once.

Promised
    Leaving costs what the client's own rooms cost: stock asks every room of the namespace, and each client has one, so
    that 10,000 leaves ask 100 million times. Two threads at the books do not lose an entry, nor raise.

How
    A manager's own changes of membership are made one at a time, and remembered by client.
    (Names used: socketio/base_manager.py, 5.10.0 to 5.18.1.)

Not promised
    Managers that keep their books in a way of their own are left alone.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, Callable

#: What changes the books. Those that a version lacks, or that change nothing of their own, are passed over.
CHANGES = (
    "pre_connect",
    "connect",
    "pre_disconnect",
    "basic_enter_room",
    "basic_leave_room",
    "basic_disconnect",
)


class Books:
    """The memberships of one manager's clients.

    Args:
        manager: a ``socketio.Manager`` without clients.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._rooms: dict[tuple[str, str], set[Any]] = {}
        self._turn = threading.RLock()

    def changes(self) -> dict[str, Callable[..., Any]]:
        """What stands in for the manager's methods, by name."""
        stock = {name: getattr(self._manager, name) for name in CHANGES if hasattr(self._manager, name)}
        ours = {
            "basic_enter_room": functools.partial(self._enter, stock["basic_enter_room"]),
            "basic_leave_room": functools.partial(self._leave, stock["basic_leave_room"]),
            "basic_disconnect": self._disconnect,
        }
        return {name: self._in_turn({**stock, **ours}[name], method) for name, method in stock.items()}

    def _in_turn(self, ours: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(stock)
        def change(*args: Any, **kwargs: Any) -> Any:
            with self._turn:
                return ours(*args, **kwargs)

        return change

    def _enter(
        self, stock: Callable[..., Any], sid: str, namespace: str, room: Any, *options: Any, **named: Any
    ) -> Any:
        entered = stock(sid, namespace, room, *options, **named)
        self._rooms.setdefault((namespace, sid), set()).add(room)
        return entered

    def _leave(self, stock: Callable[..., Any], sid: str, namespace: str, room: Any) -> Any:
        left = stock(sid, namespace, room)
        self._rooms.get((namespace, sid), set()).discard(room)
        return left

    def _disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        manager = self._manager
        for room in self._rooms.pop((namespace, sid), ()):
            manager.basic_leave_room(sid, namespace, room)
        manager.callbacks.pop(sid, None)
        for pending in (getattr(manager, "pending_connect", {}), manager.pending_disconnect):
            sids = pending.get(namespace, [])
            if sid in sids:
                sids.remove(sid)
                if not sids:
                    del pending[namespace]


def judge(manager: Any) -> bool:
    """Whether a manager keeps python-socketio's own books."""
    from socketio.base_manager import BaseManager

    books = ("basic_enter_room", "basic_leave_room", "basic_disconnect")
    if any(getattr(type(manager), name, None) is not BaseManager.__dict__[name] for name in books):
        return False
    return hasattr(manager, "callbacks") and hasattr(manager, "pending_disconnect")
