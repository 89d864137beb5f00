"""Whether a record only says that a client left.

Promised: by cause first: the exception, its errno, and the modules of its traceback and of whatever it was chained to.
By text last, only for messages that never have an exception, and only if the server's own code logs them.
EBADF, ENOTSOCK and :class:`hangup.OwnershipViolation`, alone or anywhere in the chain, are never a client.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any

from ..exceptions import Broken, Busy, CannotGuard, ClosedHere, HangupError, OwnershipViolation, PeerGone
from .endings import NAMES, is_ending
from .places import CARRIER, ELSEWHERE, SERVER, logged_by_server, raised_in
from .table import TABLE

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import TracebackType


# Errno names some platforms lack; the label is what counts() calls them.
_LABELS = (
    ("ECONNRESET", "reset"),
    ("EPIPE", "pipe"),
    ("ECONNABORTED", "aborted"),
    ("ENOTCONN", "not_connected"),
    ("ESHUTDOWN", "shut_down"),
    ("ETIMEDOUT", "timed_out"),
    ("EHOSTUNREACH", "unreachable"),
    ("EHOSTDOWN", "unreachable"),
    ("ENETUNREACH", "unreachable"),
    ("ENETDOWN", "unreachable"),
    ("ENETRESET", "unreachable"),
    ("ENONET", "unreachable"),
)
#: What each errno of a connection that ended is counted as.
DISCONNECTS = {getattr(errno, name): label for name, label in _LABELS if hasattr(errno, name)}
#: Somebody on our side closed what was in use.
OURS = (errno.EBADF, errno.ENOTSOCK)
#: Errors without an errno, which only Python code raises: asyncio's "Connection lost", a timeout.
WITHOUT_ERRNO = {
    "ConnectionResetError": "reset",
    "BrokenPipeError": "pipe",
    "ConnectionAbortedError": "aborted",
    "TimeoutError": "timed_out",
    "timeout": "timed_out",
}
_PLAIN = frozenset({OSError, ConnectionResetError, BrokenPipeError, ConnectionAbortedError, TimeoutError})
TLS_ENDS = ("SSLEOFError", "SSLZeroReturnError")
#: What an ending is counted as.
LEFT = "left"
_GROUPS = ("ExceptionGroup", "BaseExceptionGroup")
_OF_GROUPS = ("builtins", "exceptiongroup")

_SAYING = {
    name: (*(text.begins for text in row.texts), *(printed.begins for printed in row.printed))
    for name, row in TABLE.items()
    if row.texts or row.printed
}


def departure(record: logging.LogRecord) -> str | None:
    """Why the client of this record left, or None if the record is about anything else.

    Returns:
        A label for :meth:`DisconnectFilter.counts`.
    """
    info = record.exc_info
    if not info:
        return _without_exception(record)
    # makeLogRecord() and foreign code put all sorts of things here
    if not isinstance(info, tuple) or len(info) != 3 or not isinstance(info[1], BaseException):
        return None
    return cause(info[1], info[2], record.name)


def cause(failure: BaseException, trace: TracebackType | None, logger: str) -> str | None:
    """Why the client left whose connection raised this, or None, as far as the logger's row knows."""
    label = _cause_alone(failure, trace, logger)
    if label is None or (failure.__context__ is None and failure.__cause__ is None):
        return label
    for link in _chain(failure):
        if _is_ours(link):
            return None
        behind = link.__traceback__
        if behind is None or isinstance(link, (PeerGone, Broken, ClosedHere)):
            continue
        place = raised_in(behind, logger) if logger in TABLE else ELSEWHERE
        # where the application never was, an ending has no other reason than the connection
        if place is SERVER or (
            place is CARRIER and (_is_no_error(link) or (label == LEFT and _is_end(link)))
        ):
            continue
        if not is_ending(link, behind, logger):
            return None
    return label


def _cause_alone(failure: BaseException, trace: TracebackType | None, logger: str) -> str | None:
    if type(failure) in _PLAIN and type(failure.errno) is int:  # type: ignore[attr-defined]
        # the most frequent by far; what is below would come to the same
        label = DISCONNECTS.get(failure.errno)  # type: ignore[attr-defined]
        if label is None or failure.filename is not None or logger not in TABLE:  # type: ignore[attr-defined]
            return None
        return label if raised_in(trace, logger) is SERVER else None
    if isinstance(failure, OSError) and not _tells_itself(failure):
        return None
    if type(failure).__name__ in NAMES and is_ending(failure, trace, logger):
        return None if _is_ours(failure) else LEFT
    if not isinstance(failure, OSError) or failure.errno is None:
        several = _members(failure) if type(failure).__name__ in _GROUPS else ()
        if several:
            causes = [cause(each, each.__traceback__, logger) for each in several]
            return causes[0] if None not in causes else None
        label = WITHOUT_ERRNO.get(type(failure).__name__)
        if label is None or type(failure).__module__ not in ("builtins", "socket"):
            return None
        return label if logger in TABLE and raised_in(trace, logger) is SERVER else None
    # foreign subclasses of OSError set errno to whatever they like
    label = DISCONNECTS.get(failure.errno) if isinstance(failure.errno, int) else None
    if isinstance(failure, HangupError):
        if failure.errno in OURS or isinstance(failure, (OwnershipViolation, CannotGuard, Busy)):
            return None
        if isinstance(failure, ClosedHere):
            return "closed_here"
        if isinstance(failure, (PeerGone, Broken)):
            return label or "other"
    if label is None and type(failure).__module__ == "ssl" and type(failure).__name__ in TLS_ENDS:
        label = "tls_end"
    # An error about a file names it; nothing about a connection does.
    if label is None or failure.filename is not None or logger not in TABLE:
        return None
    return label if raised_in(trace, logger) is SERVER else None


def _without_exception(record: logging.LogRecord) -> str | None:
    begins = _SAYING.get(record.name)
    if begins is None or not isinstance(record.msg, str) or not record.msg.startswith(begins):
        return None
    row, message = TABLE[record.name], record.msg
    for text in row.texts:
        if message.startswith(text.begins):
            return text.cause if logged_by_server(record.name) else None
    for printed in row.printed:
        if message.startswith(printed.begins):
            failure = sys.exc_info()[1]
            if failure is None:
                return None
            last = message.rstrip().rpartition("\n")[2]
            if printed.names_it and type(failure).__name__ not in last:
                return None  # another one than is being handled
            return cause(failure, failure.__traceback__, record.name)
    return None


def _tells_itself(failure: OSError) -> bool:
    """False for one that computes its errno or its file name: that is anybody's code, and may raise."""
    kind: Any = type(failure)
    return kind.errno is OSError.errno and kind.filename is OSError.filename


def _members(failure: BaseException) -> tuple[BaseException, ...]:
    """Of a group, that of Python or of the ``exceptiongroup`` package; others may compute what they are asked for."""
    if type(failure).__name__ not in _GROUPS or type(failure).__module__ not in _OF_GROUPS:
        return ()
    members: tuple[BaseException, ...] = failure.exceptions  # type: ignore[attr-defined]
    return members


def _is_ours(failure: BaseException) -> bool:
    return isinstance(failure, OwnershipViolation) or (
        isinstance(failure, OSError) and (not _tells_itself(failure) or failure.errno in OURS)
    )


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """What a printed traceback of ``failure`` would show besides it."""
    seen = {id(failure)}
    waiting = [failure]
    while waiting:
        link = waiting.pop()
        context = None if link.__suppress_context__ else link.__context__
        # those of a group that is handed over are judged one by one
        members = () if link is failure else _members(link)
        for behind in (link.__cause__, context, *members):
            if behind is not None and id(behind) not in seen:
                seen.add(id(behind))
                waiting.append(behind)
                yield behind


def _is_end(failure: BaseException) -> bool:
    return isinstance(failure, OSError) and isinstance(failure.errno, int) and failure.errno in DISCONNECTS


def _is_no_error(failure: BaseException) -> bool:
    """Whether it only says that a call has to be repeated, which carriers do: gevent's ``send`` after a full buffer."""
    return isinstance(failure, (BlockingIOError, InterruptedError)) or (
        type(failure).__module__ == "ssl"
        and type(failure).__name__ in ("SSLWantReadError", "SSLWantWriteError")
    )
