"""The filter, what all filters count, and the one that is installed."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from .. import _hangup
from . import summary
from .judge import departure
from .table import TABLE
from .text import escape

if TYPE_CHECKING:
    from types import TracebackType

#: What a filter can do with a matching record, and the name under which it is counted.
ACTIONS = {"demote": "log_demoted", "drop": "log_dropped", "count": "log_counted"}

# Reentrant: a record can be logged by a signal handler or a finaliser while this thread is counting.
_lock = threading.RLock()
_filters: weakref.WeakSet[DisconnectFilter] = weakref.WeakSet()
_installed: DisconnectFilter | None = None


class DisconnectFilter(logging.Filter):
    """Finds the records that only say that a client left. Several filters may meet the same record, or one of them on
    several handlers: it is counted once for each action (its attribute ``hung_up`` says for which).

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
        met: tuple[str, ...] = record.__dict__.get("hung_up", ())
        if action not in met:
            record.hung_up = (*met, action)
            with _lock:
                self._counts[cause] = self._counts.get(cause, 0) + 1
            _hangup.tally(ACTIONS[action])
            if action != "count" and "demote" not in met and "drop" not in met:
                summary.note(cause)
        if action == "count":
            return True
        if action == "drop":
            return False
        if record.levelno > logging.DEBUG or met:
            if record.levelno > logging.DEBUG:
                record.levelno = logging.DEBUG
                record.levelname = logging.getLevelName(logging.DEBUG)
            # getLogger() takes the lock of all of logging
            logger = logging.root.manager.loggerDict.get(record.name)
            if not isinstance(logger, logging.Logger):
                logger = logging.getLogger(record.name)
            return logger.isEnabledFor(record.levelno)
        return True

    def counts(self) -> dict[str, int]:
        """Matches of this filter in this process, by cause: "reset", "pipe", "closed_here", ..."""
        with _lock:
            return dict(self._counts)

    def __repr__(self) -> str:
        """Shows the action and what it has met."""
        return f"<DisconnectFilter {self._action} {self.counts()}>"


def hear(
    logger: str, message: str, failure: BaseException | None, trace: TracebackType | None = None
) -> bool:
    """Judges what somebody is about to print instead of logging it, as a record of one of our loggers.

    Args:
        logger: its row.
        message: what is printed, as far as it is known.
        failure: what it is printed about; None if it is the exception that is being handled.
        trace: its traceback.

    Returns:
        Whether it was about a client that left and is dealt with. Else it is to be printed as ever.
    """
    quiet = _installed
    if quiet is None:
        return False
    trace = trace or getattr(failure, "__traceback__", None)
    info = None if failure is None else (type(failure), failure, trace)
    record = logging.LogRecord(logger, logging.ERROR, __file__, 0, message, None, info, "hear")
    if not quiet.filter(record):
        return True
    if record.levelno != logging.DEBUG:
        return False
    if info is None:
        record.exc_info = sys.exc_info()
    record.msg = escape(message.partition("\n")[0])
    logging.getLogger(logger).handle(record)
    return True


def statistics() -> dict[str, int]:
    """Matches of all filters in this process, by what was done: log_demoted, log_dropped, log_counted."""
    totals = _hangup.totals()
    return {name: totals[name] for name in ACTIONS.values()}


def install(action: str = "demote", *, summary_every: float | None = None) -> DisconnectFilter:
    """Attaches one filter to the loggers of :data:`TABLE`; called again, it only changes the settings.

    Args:
        action: of the filter.
        summary_every: seconds from the first record that is turned down to the line that sums up; 0 for no such line,
            None for ``HANGUP_LOG_SUMMARY``, or 60.

    Returns:
        The filter.

    Raises:
        ValueError: for an unknown action, or an interval that is no number of seconds.
    """
    global _installed
    with _lock:
        known = _installed or DisconnectFilter(action)
        known.action = action
        summary.every(summary_every)
        for name, row in TABLE.items():
            if row.channel == "logger":
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


def _forget() -> None:
    """In a forked child: the lock may be held by a thread that is gone, and the counts are the parent's."""
    global _lock
    _lock = threading.RLock()
    for known in list(_filters):
        known._counts = {}
    summary.forget()


os.register_at_fork(after_in_child=_forget)
