"""Emptying a worker: it accepts nobody any more, its requests end, its WebSockets are closed one after the other, and
it leaves. gunicorn starts another one in its place.

How
    The worker gets gunicorn's own signal to leave. What it would do to all WebSockets at once is done here, in the
    course of ``jitter`` seconds, so that their clients do not all come back in the same moment.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from typing import Any, Optional

from . import threads
from .connections import websockets

#: Seconds from one look at who is there to the next.
EVERY = 0.05
#: Seconds behind the deadline in which the worker leaves in the usual way.
LAST = 5.0
#: Seconds that a worker may be given at most.
A_DAY = 86_400.0


class Drain:
    """A drain that is under way.

    Args:
        worker: gunicorn's, of this process.
        within: seconds after which whoever is there is closed and whatever runs is left.
        jitter: seconds over which the closes are spread.
        code: of their close frames.
        reason: the same.
    """

    def __init__(self, worker: Any, within: float, jitter: float, code: int, reason: str) -> None:
        self._worker = worker
        self._ending = code, reason
        self._began = time.monotonic()
        self._jitter = jitter
        self.deadline = self._began + within
        self._due: dict[int, float] = {}
        self._pause = threads.Alarm()
        worker.cfg.set("graceful_timeout", math.ceil(within))

    def begin(self) -> None:
        """Has the worker leave.

        Raises:
            RuntimeError: there can be no more threads.
        """
        threads.start(self._run)
        os.kill(os.getpid(), signal.SIGTERM)

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self.deadline

    @staticmethod
    def now() -> float:
        """On the clock of its deadline."""
        return time.monotonic()

    def _run(self) -> None:
        while not self.is_over:
            self._close_those_due()
            self._worker.tmp.notify()  # some versions wait for requests without it, and are taken for dead
            self._pause.wait(EVERY)
        self._close_those_due()
        self._pause.wait(LAST)
        os._exit(0)  # a thread whose request does not end would keep the process

    def _close_those_due(self) -> None:
        now = time.monotonic()
        there = websockets()
        for serial, native in there.items():
            latest = max(
                min(self._began + self._jitter, self.deadline) - now, 0.0
            )  # also of those that still came
            due = self._due.setdefault(serial, now + random.uniform(0.0, latest))
            if now >= due or self.is_over:
                native.close(*self._ending)


def checked_times(within: Any, jitter: Any) -> tuple[float, float]:
    """Seconds for a drain.

    Raises:
        ValueError: they are none.
    """
    for seconds in (within, jitter):
        if not isinstance(seconds, (int, float)) or not 0 <= seconds <= A_DAY:
            raise ValueError(f"within and jitter are seconds, at most {A_DAY:.0f}")
    return float(within), min(float(jitter), float(within))


_drains: dict[int, Drain] = {}


def begin(worker: Any, within: float, jitter: float, code: int, reason: str) -> Drain:
    """Begins to drain this process's worker; once."""
    if os.getpid() not in _drains:
        drain = _drains[os.getpid()] = Drain(worker, within, jitter, code, reason)
        drain.begin()
    return _drains[os.getpid()]


def current() -> Optional[Drain]:
    """Of this process, if it is being drained. Takes no lock: signal handlers ask."""
    return _drains.get(os.getpid())
