"""What a DisconnectFilter costs a record, beside the filter that people paste: ``str.find`` in the message."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Any, Callable, Optional

from ._machine import cores
from ._rows import Bar, Row, paired

_MICROSECOND = 1000.0

#: The modules and functions of a traceback, outermost first. None for a record without an exception.
_IN_GUNICORN = [
    ("gunicorn.workers.gthread", "handle"),
    ("gunicorn.workers.gthread", "handle_request"),
    ("gunicorn.util", "reraise"),
    ("gunicorn.workers.gthread", "handle_request"),
    ("gunicorn.http.wsgi", "write"),
    ("gunicorn.util", "write"),
]
_IN_APPLICATION = [*_IN_GUNICORN[:2], ("shop.views", "list"), ("pymysql.connections", "query")]

CASES: dict[str, tuple[str, Optional[list[tuple[str, str]]], Bar]] = {
    "log-pass": ("gunicorn.error", None, Bar(_MICROSECOND, unit="ns")),
    "log-pass-text": ("engineio.server", None, Bar(_MICROSECOND, unit="ns")),
    "log-pass-error": ("gunicorn.error", _IN_APPLICATION, Bar(_MICROSECOND, unit="ns")),
    "log-match": ("gunicorn.error", _IN_GUNICORN, Bar(3 * _MICROSECOND, unit="ns")),
}

THOROUGH = (21, 50_000)  # pairs of runs, records in each
QUICK = (5, 20_000)


class _Pasted(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.getMessage().find("Bad file descriptor") < 0


def measure(name: str, plan: tuple[int, int], control: bool = False) -> Iterator[Row]:
    """The row of a case: nanoseconds a record.

    Args:
        name: in ``CASES``.
        plan: pairs of runs, and records in each.
        control: compare the pasted filter with itself.
    """
    from hangup import DisconnectFilter
    from hangup._logs import summary

    logger, frames, bar = CASES[name]
    pairs, records = plan
    record = _record(logger, frames)
    ours = _Pasted() if control else DisconnectFilter("demote")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        summary.every(3600)
        both = (partial(_run, each.filter, record, records) for each in (_Pasted(), ours))
        runs = tuple(paired(*both, pairs))
    finally:
        os.sched_setaffinity(0, before)
        summary.forget()
        summary.every(None)
    stock, hangup = (sorted(side)[len(side) // 2] for side in zip(*runs))
    note = f"{hangup / stock:.1f} x a filter that looks for a text in the message, and takes all or nothing"
    yield Row(name, "ns", stock, hangup, tuple(ours for _, ours in runs), "ns", bar, note, runs)


def _run(judge: Callable[[logging.LogRecord], Any], record: logging.LogRecord, times: int) -> float:
    error = logging.ERROR
    begin = perf_counter()
    for _ in range(times):
        record.levelno = error  # a match changes it
        judge(record)
    return (perf_counter() - begin) / times * 1e9


def _record(logger: str, frames: Optional[list[tuple[str, str]]]) -> logging.LogRecord:
    message = "Socket error processing request." if frames else "Booting worker with pid: %s"
    info = None
    if frames:
        try:
            _through(frames)
        except OSError as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_globals["__name__"] == __name__:
                trace = trace.tb_next
            info = (type(error), error, trace)
    return logging.LogRecord(logger, logging.ERROR, __file__, 1, message, None if frames else (1,), info)


def _through(frames: list[tuple[str, str]]) -> None:
    """Raises what the last of these functions, in modules of these names, meets."""
    call: Any = None
    for module, function in reversed(frames):
        scope: dict[str, Any] = {"__name__": module, "call": call, "number": errno.ETIMEDOUT}
        body = "raise OSError(number, 'x')" if call is None else "call()"
        exec(f"def {function}():\n    {body}\n", scope)
        call = scope[function]
    call()
