"""Ending connections: those that were named, and those that are silent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from .. import _hangup, _sessions
from .connections import Connection, listed, websockets

#: RFC 6455 section 7.4.1.
NORMAL, NO_CLOSE_FRAME = 1000, 1006
#: Octets of a reason: what is left of a control frame.
REASON = 123

#: What is closed unless it is named: connections that are not on their way already.
OPEN = ("http", "upgraded", "websocket", "session")


def checked_code(code: Any) -> int:
    """A close code that may be sent, or 1006, which sends none.

    Raises:
        ValueError: it is another one.
    """
    may_be_sent = isinstance(code, int) and (
        (1000 <= code <= 1014 and code not in (1004, 1005)) or 3000 <= code <= 4999
    )
    if not may_be_sent:
        raise ValueError(f"{code!r} is no close code: 1000 to 1003, 1006 to 1014, 3000 to 4999")
    return int(code)


def checked_reason(reason: Any) -> str:
    """A reason for a close.

    Raises:
        ValueError: it is longer than a control frame takes.
    """
    if not isinstance(reason, str) or len(reason.encode(errors="replace")) > REASON:
        raise ValueError(f"a reason is a text of at most {REASON} octets")
    return reason


class Wanted:
    """Which connections are meant: those that are named, and those that meet all the conditions that are given.

    Args:
        sids: of Engine.IO or of Socket.IO.
        numbers: of connections, which are nobody else's later.
        fds: their descriptors' numbers, which are.
        silent_for: seconds for which nothing was heard of the client's machine.
        idle_for: seconds for which nothing was received or sent.

    Raises:
        ValueError: nothing is asked for, or in a way that nobody can answer.
    """

    def __init__(
        self,
        sids: Sequence[str] = (),
        numbers: Sequence[int] = (),
        fds: Sequence[int] = (),
        silent_for: Optional[float] = None,
        idle_for: Optional[float] = None,
    ) -> None:
        for given, kind in ((sids, str), (numbers, int), (fds, int)):
            if not isinstance(given, (list, tuple)) or not all(type(one) is kind for one in given):
                raise ValueError("sids are a list of texts, numbers and fds are lists of whole numbers")
        for seconds in (silent_for, idle_for):
            if seconds is not None and not (isinstance(seconds, (int, float)) and seconds >= 0):
                raise ValueError("silent_for and idle_for are seconds")
        self.names: set[tuple[str, Any]] = {("sid", sid) for sid in sids}
        self.names |= {("number", number) for number in numbers} | {("fd", fd) for fd in fds}
        self._limits = [
            (key, limit) for key, limit in (("silent", silent_for), ("idle", idle_for)) if limit is not None
        ]
        if not self.names and not self._limits:
            raise ValueError("which connections? sids, numbers, fds, silent_for or idle_for")

    def names_of(self, row: dict[str, Any]) -> set[tuple[str, Any]]:
        """The names by which it is meant."""
        sids = {("sid", sid) for sid in [row["sid"], *row["sids"].values()]}
        return self.names & (sids | {("number", row["number"]), ("fd", row["fd"])})

    def is_overdue(self, row: dict[str, Any]) -> bool:
        """Whether it meets the conditions."""
        if not self._limits or row["kind"] not in OPEN or row["closing"]:
            return False
        return all(row[key] is not None and row[key] >= limit for key, limit in self._limits)


def close(
    wanted: Wanted, code: int, reason: str, in_its_model: Callable[[Callable[[], Any]], bool]
) -> Iterator[dict[str, Any]]:
    """Ends connections. Never waits for a client.

    Args:
        wanted: which.
        code: of the close frame, where there is one; 1006 ends without.
        reason: the same.
        in_its_model: runs what engineio does to a session, where its handlers run; False if it cannot.

    Returns:
        The rows of those that were ended, each with ``how``, and, behind them, one for each name that was not found,
        with ``missing``.
    """
    natives = websockets()
    missing = set(wanted.names)
    for connection in listed():
        names = wanted.names_of(connection.row)
        missing -= names
        if not names and not wanted.is_overdue(connection.row):
            continue
        how = _end(connection, natives, code, reason, in_its_model)
        if how:
            yield {**connection.row, "how": how}
        else:
            missing |= names
    yield from ({"missing": {kind: name}} for kind, name in sorted(missing, key=repr))


def _end(
    connection: Connection,
    natives: dict[int, Any],
    code: int,
    reason: str,
    in_its_model: Callable[[Callable[[], Any]], bool],
) -> str:
    row = connection.row
    native = natives.get(row["number"])
    if native is not None:
        native.close(code, reason)
        return "without a close frame" if code == NO_CLOSE_FRAME else f"close frame {code}"
    if connection.session is not None:
        if _sessions.is_async(connection.session):
            return ""  # its loop's to end, which is not known here
        return "session ended" if in_its_model(ending(connection.session)) else ""
    if row["kind"] in OPEN and row["number"] and _hangup.hang_up(row["number"]):
        return "shut down"
    return ""


def ending(session: Any) -> Callable[[], Any]:
    """What ends a session of engineio, where its handlers run."""

    def end() -> None:
        from .._websocket.engineio import leave

        leave(session, "SERVER_DISCONNECT")

    return end


def in_batches(rows: Iterator[dict[str, Any]], size: int = 100) -> Iterator[list[dict[str, Any]]]:
    """So that others have the interpreter in between."""
    while batch := list(itertools.islice(rows, size)):
        yield batch
