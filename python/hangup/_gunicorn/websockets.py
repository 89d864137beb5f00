"""The native WebSockets of a gunicorn worker: their line in the access log, and their end with the worker's.

Promised
    The Socket.IO clients of a worker that leaves while others stay, or come (TERM, ``max_requests``, HUP), go on in
    another worker and notice nothing (:mod:`.._siblings.departure`). Those who cannot, and all others, are told with
    1012, at moments spread over :data:`.spread.SPREAD` seconds, so that they do not all come back at once. When the
    master ends, everybody is told at once, with 1001. The worker waits for their ``disconnect`` handlers at most
    :data:`DRAIN` seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import mmap
import time
from types import SimpleNamespace
from typing import Any, Callable, Optional

from .. import _hangup, _siblings
from .._control import draining, threads
from .._control.connections import websockets
from .._logs.text import escape
from .._siblings import departure
from .._websocket import dispatch, plain
from .base import Worker
from .spread import SPREAD, Moments

#: Seconds for which a worker that leaves waits for the handlers of its WebSockets.
DRAIN = 4.0
#: RFC 6455 section 7.4.1, and the registry of section 11.7.
GOING_AWAY, SERVICE_RESTART = 1001, 1012

#: How many reloads the master has seen, and whether it ends: in memory that it shares with its workers.
_told = mmap.mmap(-1, 2)
_RELOADS, _STOPS = 0, 1


def reloaded() -> None:
    """In the master: the workers there are will be replaced."""
    _told[_RELOADS] = (_told[_RELOADS] + 1) % 256


def stops() -> None:
    """In the master: it ends, and its workers with it."""
    _told[_STOPS] = 1


def started() -> None:
    """In the master: it has begun, or goes on."""
    _told[_STOPS] = 0


class WebSocketWorker(Worker):
    """Ends the native WebSockets of a worker that stops being ``alive``."""

    #: The loop goes on accepting until it next looks at ``alive``.
    accepts_while_leaving = False

    _alive = True
    _reloads_at_birth = 0
    _is_told_to_leave = False

    def init_process(self) -> None:
        self._reloads_at_birth = _told[_RELOADS]
        super().init_process()

    @property
    def is_replaced(self) -> bool:
        """Whether a reload has others come in its place."""
        return bool(_told[_RELOADS] != self._reloads_at_birth)

    @property
    def accepts_sessions(self) -> bool:
        """Whether it takes in sessions of workers that leave."""
        return self._alive and not self.is_replaced and not _told[_STOPS]

    @property
    def is_departing(self) -> bool:
        """Whether sessions may leave it still."""
        return self._alive or departure.is_under_way()

    @property
    def alive(self) -> bool:
        """gunicorn's own flag. Also cleared by signal handlers: nothing here may wait."""
        return self._alive or self.is_awaited()

    @alive.setter
    def alive(self, value: bool) -> None:
        if not value and self._can_wait():
            return
        leaves_now = self._alive and not value
        self._alive = value
        _hangup.announce(value)
        if not value:
            self.stop_accepting()
            self._depart()
        if leaves_now and not _told[_STOPS] and draining.current() is None:
            with contextlib.suppress(RuntimeError):  # there can be no more threads: then they end last
                threads.start(self._close_plain)
        if not value and not self.accepts_while_leaving:
            self.close_websockets()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._is_told_to_leave = True
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        self._is_told_to_leave = True
        super().handle_quit(sig, frame)

    def _can_wait(self) -> bool:
        """Whether it leaves by itself, at its last request, and others do as well: then it serves some more."""
        is_last = self._alive and not self._is_told_to_leave and 0 < self.max_requests <= self.nr
        is_one_of_several = self.cfg.workers > 1 and self._hands_over
        if not is_last or not is_one_of_several or not departure.is_held_up():
            return False
        self.max_requests = self.nr + self.cfg.max_requests // 10 + 1
        return True

    @property
    def _hands_over(self) -> bool:
        return _siblings.secret() is not None and departure.is_wanted(self.cfg.workers)

    def _depart(self) -> None:
        """Has the sessions go to others: those that a reload starts, or those that there are. One of several that
        leave waits for somebody; if all did, nobody would come in their place.
        """
        if _told[_STOPS] or not self._hands_over:
            return
        drain = draining.current()
        seconds = self.cfg.graceful_timeout if drain is None else drain.deadline - drain.now()
        if self.is_replaced:
            departure.begin(seconds, wanted=self.cfg.workers)
        else:
            departure.begin(seconds, wanted=int(self.cfg.workers > 1 and departure.take_turn()))

    def stop_accepting(self) -> None:
        """The worker begins to leave."""

    def is_awaited(self) -> bool:
        """Whether it has to serve somebody before it leaves its loop."""
        return False

    def close_websockets(self) -> None:
        """Begins the close handshake with every client, if the master ends: nobody is there to come back to."""
        if _told[_STOPS]:
            self._close_all(GOING_AWAY)

    @staticmethod
    def _close_all(code: int) -> None:
        for dispatcher in dispatch.started():
            dispatcher.close_all(code)
        plain.close_all(code)

    def run(self) -> None:
        _hangup.announce(self._alive)
        try:
            super().run()
            self._end_websockets()
        finally:
            if (drain := draining.current()) is not None:
                drain.leave()

    def _end_websockets(self) -> None:
        while departure.is_under_way() and not _told[_STOPS]:
            self._wait()
        drain = draining.current()
        while drain is not None and not drain.is_over and websockets():
            self._wait()
        if not _told[_STOPS]:
            self._close_one_by_one()
        self._close_all(GOING_AWAY if _told[_STOPS] else SERVICE_RESTART)  # those that arrived since
        deadline = time.monotonic() + DRAIN
        while any(dispatcher.connections() for dispatcher in dispatch.started()):
            if time.monotonic() > deadline:
                break
            self._wait()

    def _close_one_by_one(self) -> None:
        moments = Moments(SERVICE_RESTART)
        while moments.close_those_due(websockets().values()) and not _told[_STOPS]:
            self._wait()

    @staticmethod
    def _close_plain() -> None:
        """In a thread: those whose handlers would keep the worker."""
        moments, pause, until = Moments(SERVICE_RESTART), threads.Alarm(), time.monotonic() + 2 * SPREAD
        while time.monotonic() < until:  # some clients still come
            moments.close_those_due(plain.natives())
            pause.wait(0.05)

    def _wait(self) -> None:
        self.notify()  # or the master takes it for dead
        self.pause(0.01)

    def pause(self, seconds: float) -> None:
        """Waits without blocking a hub."""
        time.sleep(seconds)


class OnEnd:
    """What is called at the end of an upgraded connection.

    Attributes:
        began: when that was, for the worker where it goes on.
    """

    def __init__(self, began: datetime.datetime, write: Callable[[int, int, int, str], None]) -> None:
        self.began = began
        self._write = write

    def __call__(self, code: int, received: int, sent: int, cause: str) -> None:
        self._write(code, received, sent, cause)


def logs_end(
    worker: Any, environ: dict[str, Any], began: Optional[datetime.datetime] = None
) -> Callable[[int, int, int, str], None]:
    """What writes the access-log line of an upgraded connection when it is over.

    The line is the one of ``access_log_format``, with status 101, the bytes sent and the time until the end,
    followed by the close code, the cause and the bytes received. A ``logger_class`` with an ``access`` of its own is
    given the first part.
    """
    from gunicorn import glogging

    log = worker.log
    is_stock = type(log).access is glogging.Logger.access
    if is_stock and not getattr(log, "access_log_enabled", True):  # since gunicorn 25
        return _no_log
    since = datetime.datetime.now() if began is None else began
    line = {key: escape(value) for key, value in environ.items() if isinstance(value, str)}

    def on_end(code: int, received: int, sent: int, cause: str) -> None:
        response = SimpleNamespace(
            status="101 Switching Protocols", sent=sent, headers=[("Upgrade", "websocket")]
        )
        request = SimpleNamespace(headers=[])
        lasted = datetime.datetime.now() - since
        if not is_stock:
            log.access(response, request, line, lasted)
            return
        atoms = log.atoms_wrapper_class(log.atoms(response, request, line, lasted))
        ending = (
            f" websocket code={code} cause={cause} received={received} seconds={lasted.total_seconds():.3f}"
        )
        log.access_log.info(worker.cfg.access_log_format + ending, atoms)

    return OnEnd(since, on_end)


def _no_log(_code: int, _received: int, _sent: int, _cause: str) -> None:
    """Where there is no access log."""
