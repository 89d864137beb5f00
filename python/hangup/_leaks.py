"""Descriptors that no live connection explains.

Promised
    Each finding says what is wrong and for how long it has been so. What passes by itself (a close handshake,
    a lingering close, a session that is being ended) is none.

How
    The kernel and the ledger have the age of some conditions; that of the others is counted from the call that first
    found them, and forgotten by the first that does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from . import _endpoints, _hangup, _sessions

#: Seconds for which a lingering close, a close handshake or the end of a session may take.
PASSING = 5.0


class Leak(NamedTuple):
    """A finding.

    Attributes:
        kind: ``close_wait``: the peer has ended its stream, and nobody closes ours; ``dead``: the connection
        is over (it was
            reset), and nobody closes it; ``closing``: closed, and somebody does not come back from using it;
            ``sid_without_fd``, ``fd_without_sid``: an Engine.IO session without connection, or the reverse;
            ``left_behind``: by the requests of an endpoint that leaks, see :func:`hangup.fds.endpoints`.
        fd: the number; None for a session without connection.
        sid: of its Engine.IO session, if it has one.
        age: seconds, at least.
        explanation: in words.
    """

    kind: str
    fd: Optional[int]
    sid: Optional[str]
    age: float
    explanation: str


class _Suspicion(NamedTuple):
    kind: str
    #: What is suspected, whatever its number.
    who: Any
    fd: Optional[int]
    sid: Optional[str]
    #: Seconds, if anybody knows.
    age: Optional[float]
    explanation: str


_since: dict[tuple[str, Any], float] = {}
_lock = threading.Lock()


def find(min_age: float) -> tuple[Leak, ...]:
    """See :func:`hangup.fds.leaks`."""
    now = time.monotonic()
    suspicions = list(_suspicions())
    with _lock:
        known = {(one.kind, one.who): _since.get((one.kind, one.who), now) for one in suspicions}
        _since.clear()
        _since.update(known)
    found = []
    for one in suspicions:
        passes = one.kind not in ("close_wait", "left_behind")
        age = now - known[one.kind, one.who] if one.age is None else one.age
        if age >= (max(min_age, PASSING) if passes else min_age):
            found.append(Leak(one.kind, one.fd, one.sid, age, one.explanation))
    return tuple(sorted(found, key=lambda leak: -leak.age))


def forget() -> None:
    """In a forked child: what the parent suspected."""
    _since.clear()


def _suspicions() -> Iterator[_Suspicion]:
    rows = {row[0]: row for row in _hangup.snapshot()}
    sessions = _sessions.by_serial()
    census = _hangup.Census()
    for place in census.in_state("close_wait"):
        fd, _, inode, _, local, remote, *_ = census.row(place)
        age = _hangup.silence(fd)  # since the peer's last word; nobody waits for it after its end
        sid = sessions.get(rows[fd][-1], _sessions.NOBODY).sid if fd in rows else None
        if age is not None:
            explanation = f"{remote} has ended its stream to {local}, and nobody has closed ours"
            yield _Suspicion("close_wait", inode, fd, sid, age, explanation)
    for place in census.in_state("close"):
        fd, _, inode, _, local, *_ = census.row(place)
        if _hangup.wear(fd):  # it was connected: something was moved
            yield _Suspicion(
                "dead", inode, fd, None, None, f"the connection of {local} is over, and not closed"
            )
    for fd, row in rows.items():
        if row[4] and row[1] != "handed_off":
            explanation = f"closed, and somebody is still inside a {row[1]} connection of {row[2]}"
            yield _Suspicion("closing", row[-1], fd, None, None, explanation)
    by_serial: dict[int, int] = {row[-1]: row[0] for row in rows.values()}
    for sid, late, why in _sessions.without_fd():
        yield _Suspicion("sid_without_fd", sid, None, sid, late or None, why)
    for serial, sid in _sessions.without_sid():
        if serial in by_serial:
            why = "its Engine.IO session is gone, and the WebSocket is not closed"
            yield _Suspicion("fd_without_sid", serial, by_serial[serial], sid, None, why)
    for fd, identity, age, why in _endpoints.left_behind():
        yield _Suspicion("left_behind", identity, fd, None, age, why)
