"""Quiet about clients that left, loud about everything else: a filter for server loggers.

Promised: a record is taken for "a client left" by the exception it carries, never by its text. That is so
when the exception is

* a :class:`hangup.PeerGone`, :class:`hangup.ClosedHere` or :class:`hangup.Broken`; or
* an OSError whose errno says that a connection ended, raised and handled by the server alone: every frame of
  its traceback, and of whatever it was chained to, belongs to the modules that the logger's row in
  :data:`TABLE` names. One frame of application code, or none at all to judge by, and the record passes
  untouched: a database, a file or an upstream server that failed is the application's business.

EBADF, ENOTSOCK and :class:`hangup.OwnershipViolation`, alone or anywhere in the chain, always pass: they
are defects on our side. What is matched is always counted, per filter and for the process; a forked child
starts counting at zero.

How: a plain :class:`logging.Filter`, for a logger or a handler, without patching anything. gunicorn keeps
filters of its loggers when it sets them up and when it reloads.

Not: what never reaches logging (``threading.excepthook``, hub tracebacks, writes to stderr), and what the
server itself already hides: gunicorn turns every ECONNRESET, EPIPE and ENOTCONN that reaches its worker
into a DEBUG line without an exception, an application's too. A filter cannot bring those back.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Literal, NamedTuple

from .exceptions import Broken, Busy, CannotGuard, ClosedHere, OwnershipViolation, PeerGone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ["ACTIONS", "TABLE", "DisconnectFilter", "Source", "escape", "install", "statistics", "uninstall"]

#: What a filter can do with a matching record, and the name under which it is counted.
ACTIONS = {"demote": "log_demoted", "drop": "log_dropped", "count": "log_counted"}

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
_DISCONNECTS = {getattr(errno, name): label for name, label in _LABELS if hasattr(errno, name)}
_OURS = (errno.EBADF, errno.ENOTSOCK)


class Source(NamedTuple):
    """One row of :data:`TABLE`: what the server behind a logger is made of.

    Module names stand for themselves and everything below them.

    Attributes:
        server: the server's modules that do I/O on client connections only.
        carriers: modules it does that I/O through. They carry anybody's sockets, so alone they prove nothing.
        apart: parts of ``server`` and ``carriers`` whose failures are not about clients.
        runs_app: functions of the server that call objects of the application. An object written in C has
            no frame of its own: such a function must be seen to go on inside the server.
    """

    server: tuple[str, ...]
    carriers: tuple[str, ...]
    apart: tuple[str, ...]
    runs_app: frozenset[str]


#: Logger name to what its server is made of. On a logger without a row only hangup's own types are matched.
TABLE: Mapping[str, Source] = {
    "gunicorn.error": Source(
        server=("gunicorn", "gevent.pywsgi"),
        carriers=(
            "concurrent.futures",
            "eventlet",
            "gevent",
            "hangup",
            "selectors",
            "socket",
            "ssl",
            "threading",
        ),
        apart=(
            # the worker or the master itself fails, or talks to somebody who is not a client
            "gunicorn.app",
            "gunicorn.arbiter",
            "gunicorn.config",
            "gunicorn.ctl",
            "gunicorn.dirty",
            "gunicorn.glogging",
            "gunicorn.instrument",
            "gunicorn.pidfile",
            "gunicorn.reloader",
            "gunicorn.systemd",
            "gunicorn.workers.workertmp",
            # applications, as far as a server is concerned
            "hangup._demo",
            "hangup.testing",
        ),
        runs_app=frozenset(
            {
                "handle_request",
                "handle_http2_request",
                "__getitem__",  # of gunicorn's file wrapper: reads from the application's file
                "process_result",
                "run_application",
            }
        ),
    ),
}

# Reentrant: a record can be logged by a signal handler or a finaliser while this thread is counting.
_lock = threading.RLock()
_totals = dict.fromkeys(ACTIONS.values(), 0)
_filters: weakref.WeakSet[DisconnectFilter] = weakref.WeakSet()
_installed: DisconnectFilter | None = None


class DisconnectFilter(logging.Filter):
    """Finds the records that only say that a client left.

    Args:
        action: "demote" makes them DEBUG, and lets them through only where their logger is enabled for
            DEBUG; "drop" stops them; "count" leaves them as they are.

    Raises:
        ValueError: for any other action.
    """

    def __init__(self, action: str = "demote") -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self.action = action
        _filters.add(self)

    @property
    def action(self) -> str:
        """What is done with a match; can be changed at any time."""
        return self._action

    @action.setter
    def action(self, action: str) -> None:
        if action not in ACTIONS:
            raise ValueError(f"unknown action {action!r}: use one of {', '.join(map(repr, ACTIONS))}")
        self._action = action

    def filter(self, record: logging.LogRecord) -> bool:
        """Judges one record; logging calls this."""
        cause = departure(record)
        if cause is None:
            return True
        action = self._action
        with _lock:
            self._counts[cause] = self._counts.get(cause, 0) + 1
            _totals[ACTIONS[action]] += 1
        if action == "drop":
            return False
        if action == "demote" and record.levelno > logging.DEBUG:
            record.levelno = logging.DEBUG
            record.levelname = logging.getLevelName(logging.DEBUG)
            return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
        return True

    def counts(self) -> dict[str, int]:
        """Matches of this filter in this process, by cause: "reset", "pipe", "closed_here", ..."""
        with _lock:
            return dict(self._counts)

    def __repr__(self) -> str:
        """Shows the action and what it has met."""
        return f"<DisconnectFilter {self._action} {self.counts()}>"


def departure(record: logging.LogRecord) -> str | None:
    """Why the client of this record left, or None if the record is about anything else.

    Returns:
        A label for :meth:`DisconnectFilter.counts`.
    """
    info = record.exc_info
    # makeLogRecord() and foreign code put all sorts of things here
    if not isinstance(info, tuple) or len(info) != 3 or not isinstance(info[1], OSError):
        return None
    failure = info[1]
    if isinstance(failure, (OwnershipViolation, CannotGuard, Busy)) or _is_ours(failure):
        return None
    chained = list(_chain(failure))
    if any(map(_is_ours, chained)):
        return None
    if isinstance(failure, ClosedHere):
        return "closed_here"
    # foreign subclasses of OSError set errno to None, or to whatever they like
    label = _DISCONNECTS.get(failure.errno) if isinstance(failure.errno, int) else None
    if isinstance(failure, (PeerGone, Broken)):
        return label or "other"
    # An error about a file names it; nothing about a connection does.
    if label is None or record.name not in TABLE or failure.filename is not None:
        return None
    traces = [info[2], *(link.__traceback__ for link in chained if link.__traceback__ is not None)]
    return label if all(_within(trace, record.name) for trace in traces) else None


def statistics() -> dict[str, int]:
    """Matches of all filters in this process, by what was done: log_demoted, log_dropped, log_counted."""
    with _lock:
        return dict(_totals)


def install(action: str = "demote") -> DisconnectFilter:
    """Attaches one filter to the loggers of :data:`TABLE`; called again, it only changes the action.

    Returns:
        The filter.

    Raises:
        ValueError: for an unknown action.
    """
    global _installed
    with _lock:
        known = _installed or DisconnectFilter(action)
        known.action = action
        for name in TABLE:
            logging.getLogger(name).addFilter(known)
        _installed = known
        return known


def uninstall() -> None:
    """Takes off what :func:`install` attached. The totals stay."""
    global _installed
    with _lock:
        if _installed is not None:
            for name in TABLE:
                logging.getLogger(name).removeFilter(_installed)
            _installed = None


def escape(text: object) -> str:
    """Text from a client, fit for one line of a log.

    Whatever is not printable (line ends, control bytes, separators, text direction marks, lone surrogates)
    becomes a backslash escape, and so does the backslash, so that two different texts stay different.

    Args:
        text: bytes are read as Latin-1, anything else by its ``str()``.
    """
    line = text.decode("latin-1") if isinstance(text, (bytes, bytearray)) else str(text)
    if line.isprintable() and "\\" not in line:
        return line
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode("ascii")
        for char in line
    )


def _is_ours(failure: BaseException) -> bool:
    return isinstance(failure, OwnershipViolation) or (
        isinstance(failure, OSError) and failure.errno in _OURS
    )


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """What a printed traceback of ``failure`` would show besides it."""
    seen = {id(failure)}
    waiting = [failure]
    while waiting:
        link = waiting.pop()
        context = None if link.__suppress_context__ else link.__context__
        for behind in (link.__cause__, context):
            if behind is not None and id(behind) not in seen:
                seen.add(id(behind))
                waiting.append(behind)
                yield behind


def _within(trace: TracebackType | None, logger: str) -> bool:
    """Whether the whole traceback stays inside the logger's server, and the server is in it."""
    runs_app = TABLE[logger].runs_app
    in_server = entering_app = False
    while trace is not None:
        frame = trace.tb_frame
        place = _place(logger, frame.f_globals.get("__name__"))
        if place == "server":
            in_server = True
            entering_app = frame.f_code.co_name in runs_app
        elif place == "elsewhere":
            return False
        trace = trace.tb_next
    return in_server and not entering_app


@functools.lru_cache(maxsize=1024)
def _place(logger: str, module: object) -> Literal["server", "carrier", "elsewhere"]:
    """Which part of the logger's row a module is in."""
    source = TABLE[logger]
    if not isinstance(module, str) or _below(module, source.apart):
        return "elsewhere"
    if _below(module, source.server):
        return "server"
    return "carrier" if _below(module, source.carriers) else "elsewhere"


def _below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _forget() -> None:
    """In a forked child: the lock may be held by a thread that is gone, and the counts are the parent's."""
    global _lock
    _lock = threading.RLock()
    _totals.update(dict.fromkeys(_totals, 0))
    for known in list(_filters):
        known._counts = {}


os.register_at_fork(after_in_child=_forget)
