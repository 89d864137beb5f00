"""The line that says how many peers left: ``hung up: 214 peers left (198 reset, 16 pipe), 0 ours``.

Promised: at INFO on the logger ``hangup``, once an interval in which records were demoted or dropped, and for what is
left at the exit of the process. "ours" are the ownership violations since the last line.

How: the first record of an interval starts a thread that sleeps and then says it: bare, because one of ``threading``
waits for its start, which a hub must not, and is waited for at exit. Under gevent and eventlet it is a greenlet.

Not: after a kill, or ``os._exit``.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
import threading
import time

logger = logging.getLogger("hangup")

_SETTING = "HANGUP_LOG_SUMMARY"
_DEFAULT = 60.0

# Reentrant: see the filter's.
_lock = threading.RLock()
_left: dict[str, int] = {}
_interval = _DEFAULT
_is_sleeping = False
_violations_said = 0


def every(seconds: float | None) -> None:
    """Sets the interval. 0: no line; None: what the environment says, or a minute, with a WARNING if that is no number.

    Raises:
        ValueError: for what is no number of seconds.
    """
    global _interval
    if seconds is not None:
        _interval = _checked(seconds)
        return
    given = os.environ.get(_SETTING, "").strip() or _DEFAULT
    try:
        _interval = _checked(given)
    except ValueError:
        _interval = _DEFAULT
        logger.warning("%s=%r is no number of seconds: it stays at %g", _SETTING, given, _DEFAULT)


def _checked(seconds: float | str) -> float:
    interval = float(seconds)
    if not 0 <= interval < math.inf:
        raise ValueError(f"{interval} is no number of seconds")
    return interval


def note(cause: str) -> None:
    """One more record was turned down."""
    global _is_sleeping
    with _lock:
        if not _interval:
            return
        _left[cause] = _left.get(cause, 0) + 1
        if _is_sleeping:
            return
        _is_sleeping = True
    import _thread  # now: a hub may have replaced what is in it

    try:
        _thread.start_new_thread(_say_later, (_interval,))
    except RuntimeError:  # no more threads: the next record tries again
        _is_sleeping = False


def say() -> None:
    """Logs the line, if there is anything to say."""
    global _violations_said
    with _lock:
        if not _left:
            return
        causes = sorted(_left.items(), key=lambda item: (-item[1], item[0]))
        _left.clear()
        violations = _violations()
        ours = violations - _violations_said
        _violations_said = violations
    logger.info(
        "hung up: %d peers left (%s), %d ours",
        sum(count for _, count in causes),
        ", ".join(f"{count} {cause}" for cause, count in causes),
        ours,
    )


def forget() -> None:
    """In a forked child: the lock may be held by a thread that is gone, and the sums are the parent's."""
    global _lock, _is_sleeping, _violations_said
    _lock = threading.RLock()
    _left.clear()
    _is_sleeping = False
    _violations_said = 0


def _say_later(seconds: float) -> None:
    global _is_sleeping
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("_thread"):  # this is a greenlet
        sys.modules["gevent"].sleep(seconds, ref=False)  # gevent.wait() does not wait for it
    else:
        time.sleep(seconds)
    _is_sleeping = False
    say()


def _violations() -> int:
    from .. import _hangup

    return _hangup.totals()["ownership_violations"]


atexit.register(say)
