"""Whether a printed traceback only says that a client left: what :mod:`hangup._logs.judge` asks live objects.

Promised: the table and the endings are the filter's own. Where the filter asks an object who closed its connection,
text has no answer: that is :data:`UNDECIDED`, never a client. Types that are neither built in nor the server's are
never a client.
"""

from __future__ import annotations

from typing import Optional

from .._logs.endings import ENDINGS
from .._logs.judge import DISCONNECTS, LEFT, OURS, TLS_ENDS, WITHOUT_ERRNO
from .._logs.places import CARRIER, ELSEWHERE, SERVER, Place, is_below, stays_in
from .._logs.rows import Ending
from .._logs.table import TABLE
from .tracebacks import Frame, Raised, last_raised

#: A client left, or the application sent after its own close.
UNDECIDED = "undecided"

_HANGUP = "hangup.exceptions."
_ERRORS = frozenset({*WITHOUT_ERRNO, "OSError", "IOError", "ConnectionError", "error"})
_NO_ERRORS = frozenset(
    {"BlockingIOError", "InterruptedError", "ssl.SSLWantReadError", "ssl.SSLWantWriteError"}
)
_GROUPS = frozenset({"ExceptionGroup", "BaseExceptionGroup"})
_MODULES = ("", "builtins", "socket", "ssl")
_BY_TYPE: dict[str, list[Ending]] = {}
for _known in ENDINGS:
    _BY_TYPE.setdefault(_known.type, []).append(_known)


def departure(found: list[Raised], logger: str) -> tuple[Optional[str], str]:
    """Why the client left, as the log filter counts it, or :data:`UNDECIDED`, or None; and the ending that says so.

    Args:
        found: what was raised, as it was printed.
        logger: the row of the table; "" to find it by the frames.
    """
    if not found or any(is_ours(raised) for raised in found):
        return None, ""
    rows = [logger] if logger in TABLE else _rows_of(found)
    answers = (_by_row(found, row) for row in rows)
    return next((answer for answer in answers if answer[0] is not None), (None, ""))


def _by_row(found: list[Raised], logger: str) -> tuple[Optional[str], str]:
    last, before, members = last_raised(found)
    label, ending = _alone(last, logger)
    if last.type in _GROUPS and members:
        causes = [_alone(raised, logger) for raised in members if raised.type not in _GROUPS]
        labels = [label for label, _ in causes]
        label, ending = causes[0] if causes and None not in labels else (None, "")
        label = UNDECIDED if label and UNDECIDED in labels else label
    if label is None or not all(_goes_with(link, logger, label) for link in before):
        return None, ""
    return label, ending


def is_ours(raised: Raised) -> bool:
    """EBADF and its like: somebody on our side closed what was in use."""
    return raised.errno in OURS or raised.type == f"{_HANGUP}OwnershipViolation"


def _alone(raised: Raised, logger: str) -> tuple[Optional[str], str]:
    if raised.type.startswith(_HANGUP):
        if raised.name == "ClosedHere":
            return "closed_here", ""
        gone = raised.name in ("PeerGone", "Broken", "TimedOut")
        return (DISCONNECTS.get(raised.errno or 0, "other"), "") if gone else (None, "")
    ending = _ending(raised, logger)
    if ending is not None:
        return (UNDECIDED if ending.unless or ending.provided else LEFT), ending.type
    if raised.type[: -len(raised.name)].rstrip(".") not in _MODULES or raised.names_a_file:
        return None, ""
    label: Optional[str] = None
    if raised.name in TLS_ENDS:
        label = "tls_end"
    elif raised.name in _ERRORS:
        label = WITHOUT_ERRNO.get(raised.name) if raised.errno is None else DISCONNECTS.get(raised.errno)
    if label is None or _stays_in(raised.frames, logger) is not SERVER:
        return None, ""
    return label, ""


def _ending(raised: Raised, logger: str) -> Optional[Ending]:
    for ending in _BY_TYPE.get(raised.type if "." in raised.type else f"builtins.{raised.type}", ()):
        says = raised.says.strip("'\"") if raised.type == "KeyError" else raised.says
        if logger in TABLE and says.startswith(ending.says) and _raised_by(raised.frames, ending, logger):
            return ending
    return None


def _raised_by(frames: tuple[Frame, ...], ending: Ending, logger: str) -> bool:
    raiser = False
    for frame in frames:
        if is_below(frame.module, ending.raised_by):
            raiser = True
        elif not is_below(frame.module, TABLE[logger].carriers):
            raiser = False
    return raiser and ending.function in ("", frames[-1].function)


def _goes_with(link: Raised, logger: str, label: str) -> bool:
    """Whether what was raised before tells of nothing else."""
    if not link.frames or link.type.startswith(_HANGUP):
        return True
    place = _stays_in(link.frames, logger)
    ends = link.name in _ERRORS and link.errno in DISCONNECTS
    if place is SERVER or (place is CARRIER and (link.type in _NO_ERRORS or (label == LEFT and ends))):
        return True
    return _ending(link, logger) is not None


def _stays_in(frames: tuple[Frame, ...], logger: str) -> Place:
    if logger not in TABLE:
        return ELSEWHERE
    return stays_in([(frame.module, frame.function) for frame in frames], logger)


def _rows_of(found: list[Raised]) -> list[str]:
    """Where no logger is named: the rows whose server is the first on the way; if there is none, only our own types."""
    for frame in (frame for raised in reversed(found) for frame in raised.frames):
        rows = [
            logger
            for logger, row in TABLE.items()
            if is_below(frame.module, row.server) and not is_below(frame.module, row.apart)
        ]
        if rows:
            return rows
    return [""]
