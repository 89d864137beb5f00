"""How many descriptors are left, and until when.

How
    A daemon thread counts every ``interval`` seconds, and asks the limit again, which may change at any time.
    The trend is the median of all slopes between the last 64 counts (Theil-Sen), so bursts do not move it.

Not promised
    A forked child has no watch: threads do not survive fork(2), and one that came back by itself in each child
    would call what the parent asked for. :attr:`Watch.is_running` is False there; start one in ``post_fork``.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from . import _hangup

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger("hangup")

#: A breach is over when this share of it is left.
RELIEF = 0.9


class Breach(NamedTuple):
    """The state of the descriptors at one moment.

    Attributes:
        open: how many the process has.
        limit: ``RLIMIT_NOFILE``.
        per_second: at what rate they grow.
        seconds_left: until there are none, if it goes on so; None if it does not grow.
    """

    open: int
    limit: int
    per_second: float
    seconds_left: Optional[float]


def usage() -> tuple[int, int]:
    """How many descriptors are open, and how many may be."""
    found, _, limit = _hangup.count()
    if found < 0:
        try:
            found = len(os.listdir("/proc/self/fd")) - 1  # the listing's own
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            found = limit  # there is none left to list them with
    return found, limit


class Watch:
    """A running watch; also a context that ends with it. See :func:`watch`."""

    def __init__(self, at: float, on_breach: Optional[Callable[[Breach], object]], interval: float) -> None:
        self._at = at
        self._on_breach = on_breach or _warn
        self._interval = interval
        self._trend = _hangup.Trend()
        self._breached = False
        self._stopped = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="hangup-watch", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """False after :meth:`stop`, and in a forked child."""
        return self._pid == os.getpid() and not self._stopped.is_set()

    def now(self) -> Breach:
        """The present state, and the forecast of the last counts."""
        found, limit = usage()
        return Breach(found, limit, self._trend.slope(), self._trend.seconds_until(limit))

    def stop(self) -> None:
        """Ends it. Idempotent; waits for a callback that is running, unless it is called from that."""
        self._stopped.set()
        if self._pid == os.getpid() and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: Optional[type[BaseException]],
        _value: Optional[BaseException],
        _traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    def _run(self) -> None:
        self._look()
        while not self._stopped.wait(self._interval):
            self._look()

    def _look(self) -> None:
        found, limit = usage()
        self._trend.add(time.monotonic(), float(found))
        share = found / limit
        if share < self._at * RELIEF:
            self._breached = False
        elif share >= self._at and not self._breached:
            self._breached = True
            breach = Breach(found, limit, self._trend.slope(), self._trend.seconds_until(limit))
            try:
                self._on_breach(breach)
            except Exception:  # theirs; the watch goes on
                logger.exception("hangup: the callback of a watch failed")


def watch(
    at: float = 0.8,
    on_breach: Optional[Callable[[Breach], object]] = None,
    interval: float = 1.0,
) -> Watch:
    """Watches how many descriptors are left in this process, from a thread of its own.

    Args:
        at: the share of the limit from which on it is a breach.
        on_breach: called once for each breach, in that thread; by default a WARNING is logged. A breach is over when
            nine tenths of that share are open.
        interval: seconds.

    Returns:
        A handle; ``stop()`` or leaving its context ends the watch.
    """
    if not 0 < at <= 1 or interval <= 0:
        raise ValueError("a share between 0 and 1, and a positive interval")
    return Watch(at, on_breach, interval)


def _warn(breach: Breach) -> None:
    left = (
        "" if breach.seconds_left is None else f"; at this rate none is left in {breach.seconds_left:.0f} s"
    )
    logger.warning(
        "hangup: %d of %d descriptors are open, %+.2f per second%s",
        breach.open,
        breach.limit,
        breach.per_second,
        left,
    )
