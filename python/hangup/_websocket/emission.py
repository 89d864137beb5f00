"""One emit, from who asks for it to the manager that does it: how, and what became of it.

python-socketio's ``emit`` has no argument for either; between the two there may be a manager of a message queue.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Optional

POLICIES = ("block", "close", "drop_oldest", "drop_newest")


class Emission:
    """How an event is delivered, and to how many.

    Args:
        policy: for clients whose queue has no room, of :data:`POLICIES`; None for their server's.
        coalesce: only the newest event of this key waits for a client.
    """

    __slots__ = ("_has_begun", "coalesce", "fates", "policy")

    def __init__(self, policy: Optional[str] = None, coalesce: Optional[str] = None) -> None:
        self.policy = None if policy is None else checked(policy)
        self.coalesce = coalesce
        #: How many clients it was sent to, is queued for, and so on.
        self.fates = {"sent": 0, "queued": 0, "gone": 0, "dropped": 0}
        self._has_begun = False

    def begin(self) -> bool:
        """The server is asked for it. False if it has been: who asks meanwhile emits something else."""
        has_begun, self._has_begun = self._has_begun, True
        return not has_begun

    def count(self, outcome: str) -> None:
        """One client, by what ``Message.send`` returned."""
        self.fates["dropped" if outcome == "overflowed" else outcome] += 1

    def add(self, *fates: int) -> None:
        """Many clients, in the order of :attr:`fates`."""
        for name, more in zip(self.fates, fates):
            self.fates[name] += more


current: ContextVar[Optional[Emission]] = ContextVar("hangup.emission", default=None)


def checked(policy: str) -> str:
    """``policy``.

    Raises:
        ValueError: there is none of that name.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")
    return policy


@contextlib.contextmanager
def under(how: Optional[Emission]) -> Iterator[None]:
    """The next emit of this thread or greenlet is done so; None: those in between are others."""
    token = current.set(how)
    try:
        yield
    finally:
        current.reset(token)


def accepting(stock: Any) -> Any:
    """Stands in for ``socketio.Server.emit``: takes ``policy`` and ``coalesce`` too. What is emitted on the way, as
    python-socketio's admin interface does, is an emit of its own.
    """

    def emit(*args: Any, policy: Optional[str] = None, coalesce: Optional[str] = None, **kwargs: Any) -> Any:
        how = current.get() if policy is None and coalesce is None else Emission(policy, coalesce)
        if how is None:
            return stock(*args, **kwargs)
        with under(how if how.begin() else None):
            return stock(*args, **kwargs)

    return functools.update_wrapper(emit, stock)


def fate(server: Any, eio_sid: str) -> str:
    """What will become of a packet for a client whose session is python-socketio's to serve."""
    flask_socketio = sys.modules.get("flask_socketio")
    if flask_socketio is not None and eio_sid in flask_socketio.SocketIOTestClient.clients:
        return "sent"
    session = server.eio.sockets.get(eio_sid)
    return "gone" if session is None or session.closed else "queued"
