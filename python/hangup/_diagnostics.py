"""What the native core has to say, in Python's logging.

Promised
    Each line reaches the logger that it names (:data:`LOGGERS`), with its level, its time, its thread and its fields.
    No native thread waits for Python, nor for a handler that is slow. For a level that no logger asks for nothing is
    said, which costs nothing.

How
    Native threads put their lines into a queue (``crates/hangup-core/src/diagnostics.rs``). One thread, or one greenlet
    of the hub, waits for its eventfd and empties it. A record's ``fields`` are a dict of str; ``connection`` is the
    number of the WebSocket that it is about, or None.

Not promised
    The order of these lines among Python's own. A level that is set later counts from the next WebSocket, or line.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import traceback
from typing import Any, Callable

from . import _hangup
from ._green import patched_by
from .logfilter import escape

#: Where lines go. A level that is set at any of them is noticed.
LOGGERS = tuple(
    logging.getLogger(f"hangup.{subject}") for subject in ("acceptor", "engine", "fd", "linger", "websocket")
)

_listening: set[int] = set()  # processes


def listen() -> None:
    """Begins, once in each process: not before a fork."""
    pid = os.getpid()
    refresh()
    if pid in _listening:
        return
    _listening.add(pid)
    signal = _hangup.diagnostics_signal()
    hub = patched_by()
    if hub is None:
        threading.Thread(target=_read, args=(signal,), name="hangup-log", daemon=True).start()
    else:
        _HUBS[hub](signal)
    atexit.register(say)


def refresh() -> None:
    """Has the core say what the loggers ask for now."""
    _hangup.set_diagnostics_level(min(logger.getEffectiveLevel() for logger in LOGGERS))


def say() -> None:
    """Logs what waits. Never waits for more."""
    rows, lost = _hangup.take_diagnostics()
    for row in rows:
        try:
            _log(*row)
        except Exception:  # a handler's, or a filter's: the next lines are said nevertheless
            _complain()
    if lost:
        logging.getLogger("hangup").warning("hangup: %d native log lines were lost: they came too fast", lost)


def _log(
    level: int, name: str, message: str, fields: list[tuple[str, str]], created: float, thread: str | None
) -> None:
    logger = logging.getLogger(name)
    if not logger.isEnabledFor(level):
        return
    known = dict(fields)
    text = " ".join([message, *(f"{key}={escape(value)}" for key, value in fields)])
    connection = known.get("connection")
    record = logger.makeRecord(name, level, "(native)", 0, "%s", (text,), None, extra={"fields": known})
    record.connection = None if connection is None else int(connection)
    record.created, record.msecs = created, created % 1 * 1000
    record.threadName = thread or "(native)"
    logger.handle(record)


def _complain() -> None:
    if logging.raiseExceptions and sys.stderr is not None:  # as logging does of its own handlers
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exc()


def _read(signal: int) -> None:
    while True:
        os.read(signal, 8)
        say()
        refresh()


def _read_in_hub(signal: int, wait: Callable[[int], Any]) -> None:
    pid = os.getpid()
    while True:
        wait(signal)
        if os.getpid() != pid:
            return  # in a forked child: the number, and what it tells, are the parent's
        os.read(signal, 8)
        say()
        refresh()


def _gevent(signal: int) -> None:
    import gevent
    from gevent.socket import wait_read

    gevent.spawn(_read_in_hub, signal, wait_read)


def _eventlet(signal: int) -> None:
    import eventlet
    from eventlet.hubs import trampoline

    eventlet.spawn_n(_read_in_hub, signal, lambda fd: trampoline(fd, read=True))


_HUBS: dict[str, Callable[[int], None]] = {"gevent": _gevent, "eventlet": _eventlet}
