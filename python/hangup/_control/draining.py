"""Emptying a worker: it accepts nobody any more, its requests end, its WebSockets are closed one after the other, and
it leaves. gunicorn starts another one in its place.

How
    The worker gets gunicorn's own signal to leave. What it would do to all WebSockets at once is done here, in the
    course of ``jitter`` seconds, so that their clients do not all come back in the same moment.
"""

from __future__ import annotations

import functools
import heapq
import math
import os
import random
import signal
import time
from typing import Any, Callable, Optional

from .. import _sessions
from . import closing, threads
from .connections import websockets

#: Seconds from one look at who is there to the next, and at whose turn it is.
LOOK, EVERY = 0.5, 0.05
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
        in_its_model: see :func:`.closing.close`.
    """

    def __init__(
        self,
        worker: Any,
        within: float,
        jitter: float,
        code: int,
        reason: str,
        in_its_model: Callable[[Callable[[], Any]], bool],
    ) -> None:
        self._worker = worker
        self._ending = code, reason
        self._in_its_model = in_its_model
        self._began = time.monotonic()
        self._jitter = jitter
        self.deadline = self._began + within
        self._known: set[Any] = set()
        #: When, a number that tells those of one moment apart, and what is done.
        self._due: list[tuple[float, int, Callable[[], Any]]] = []
        self._pause = threads.Alarm()
        self._notifying = threads.lock()
        self._has_left = not hasattr(worker, "close_websockets")  # not ours: it would not say when it leaves
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
        look_again = 0.0
        while not self.is_over:
            if self.now() >= look_again:
                self._look()
                look_again = self.now() + LOOK
            self._close_those_due()
            self._notify()
            self._pause.wait(EVERY)
        self._look()
        self._close_those_due()
        self._pause.wait(LAST)
        os._exit(0)  # a thread whose request does not end would keep the process

    def _notify(self) -> None:
        """Some versions of gunicorn wait for requests without it, and are taken for dead."""
        with self._notifying:
            if not self._has_left:
                self._worker.tmp.notify()

    def leave(self) -> None:
        """The worker is about to close what :meth:`_notify` writes to."""
        with self._notifying:
            self._has_left = True

    def _look(self) -> None:
        """Those who are there, and still come: each gets its moment."""
        is_departing = getattr(self._worker, "is_departing", False)  # they may go on elsewhere
        for serial, native in () if is_departing else websockets().items():
            self._will_close(serial, functools.partial(native.close, *self._ending))
        for _, sid, session in _sessions.polling():
            # A poll is a request that would last as long as the client likes.
            self._will_close(sid, functools.partial(self._in_its_model, closing.ending(session)))

    def _will_close(self, key: Any, close: Callable[[], Any]) -> None:
        if key in self._known:
            return
        self._known.add(key)
        latest = max(min(self._began + self._jitter, self.deadline), self.now())
        heapq.heappush(self._due, (random.uniform(self.now(), latest), len(self._known), close))

    def _close_those_due(self) -> None:
        while self._due and (self._due[0][0] <= self.now() or self.is_over):
            heapq.heappop(self._due)[2]()


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


def begin(worker: Any, *arguments: Any) -> Drain:
    """Begins to drain this process's worker, once. Arguments: :class:`Drain`'s."""
    if os.getpid() not in _drains:
        drain = _drains[os.getpid()] = Drain(worker, *arguments)
        drain.begin()
    return _drains[os.getpid()]


def current() -> Optional[Drain]:
    """Of this process, if it is being drained. Takes no lock: signal handlers ask."""
    return _drains.get(os.getpid())
