"""The native WebSockets of a gunicorn worker: their line in the access log, and their end with the worker's.

Promised
    A worker that leaves (TERM, ``max_requests``, HUP) tells every client as soon as it accepts no more, so that
    they come back to another one: with 1001, or 1012 if it is being replaced by a reload. It waits for their
    ``disconnect`` handlers at most :data:`DRAIN` seconds.
"""

from __future__ import annotations

import datetime
import mmap
import time
from types import SimpleNamespace
from typing import Any, Callable

from .. import _hangup
from .._control import draining
from .._control.connections import websockets
from .._logs.text import escape
from .._websocket import dispatch, plain
from .base import Worker

#: Seconds for which a worker that leaves waits for the handlers of its WebSockets.
DRAIN = 4.0
#: RFC 6455 section 7.4.1, and the registry of section 11.7.
GOING_AWAY, SERVICE_RESTART = 1001, 1012

#: How many reloads the master has seen, in memory that it shares with its workers.
_reloads = mmap.mmap(-1, 1)


def reloaded() -> None:
    """In the master: the workers there are will be replaced."""
    _reloads[0] = (_reloads[0] + 1) % 256


class WebSocketWorker(Worker):
    """Ends the native WebSockets of a worker that stops being ``alive``."""

    #: The loop goes on accepting until it next looks at ``alive``.
    accepts_while_leaving = False

    _alive = True
    _reloads_at_birth = 0

    def init_process(self) -> None:
        self._reloads_at_birth = _reloads[0]
        super().init_process()

    @property
    def alive(self) -> bool:
        """gunicorn's own flag. Also cleared by signal handlers: nothing here may wait."""
        return self._alive or self.is_awaited()

    @alive.setter
    def alive(self, value: bool) -> None:
        self._alive = value
        _hangup.announce(value)
        if not value:
            self.stop_accepting()
        if not value and not self.accepts_while_leaving:
            self.close_websockets()

    def stop_accepting(self) -> None:
        """The worker begins to leave."""

    def is_awaited(self) -> bool:
        """Whether it has to serve somebody before it leaves its loop."""
        return False

    def close_websockets(self) -> None:
        """Begins the close handshake with every client, unless a drain does it one by one."""
        drain = draining.current()
        if drain is not None and not drain.is_over:
            return
        code = SERVICE_RESTART if _reloads[0] != self._reloads_at_birth else GOING_AWAY
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
        drain = draining.current()
        while drain is not None and not drain.is_over and websockets():
            self.pause(0.01)
        self.close_websockets()  # those that arrived since
        deadline = time.monotonic() + DRAIN
        while any(dispatcher.connections() for dispatcher in dispatch.started()):
            if time.monotonic() > deadline:
                break
            self.pause(0.01)

    def pause(self, seconds: float) -> None:
        """Waits without blocking a hub."""
        time.sleep(seconds)


def logs_end(worker: Any, environ: dict[str, Any]) -> Callable[[int, int, int, str], None]:
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
    began = datetime.datetime.now()
    line = {key: escape(value) for key, value in environ.items() if isinstance(value, str)}

    def on_end(code: int, received: int, sent: int, cause: str) -> None:
        response = SimpleNamespace(
            status="101 Switching Protocols", sent=sent, headers=[("Upgrade", "websocket")]
        )
        request = SimpleNamespace(headers=[])
        lasted = datetime.datetime.now() - began
        if not is_stock:
            log.access(response, request, line, lasted)
            return
        atoms = log.atoms_wrapper_class(log.atoms(response, request, line, lasted))
        ending = (
            f" websocket code={code} cause={cause} received={received} seconds={lasted.total_seconds():.3f}"
        )
        log.access_log.info(worker.cfg.access_log_format + ending, atoms)

    return on_end


def _no_log(_code: int, _received: int, _sent: int, _cause: str) -> None:
    """Where there is no access log."""
