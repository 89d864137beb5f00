"""Who runs the handlers of native WebSockets in this process: threads, or greenlets of the hub.

Promised
    Events of one connection are handled in order, one at a time. Threads follow running handlers, not
    connections: idle clients have none, and a handler that waits does not make another wait.

How
    The native dispatcher gives turns (``crates/hangup-core/src/ws/dispatch.rs``). Among threads there is always
    one that waits for the next turn. In a hub one greenlet watches the dispatcher's descriptor, and has another one
    run handlers: if that one comes to wait, it is left behind, and the next one goes on.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
from contextvars import ContextVar
from typing import Any, Callable, Optional, Protocol, Union

from .. import _diagnostics, _hangup
from .._green import patched_by

logger = logging.getLogger("hangup")

#: Seconds after which a thread that got nothing to do ends, if another one waits.
IDLE = 1.0
#: How many threads may wait for the next turn. Under load each would get one in time, and none would end.
SPARE = 2
#: Seconds for which the end of the process waits for threads to return from native code.
STOP = 1.0

#: Turns that a greenlet has before the hub's others have theirs.
FAIR = 32

#: The turn whose handler is running.
current: ContextVar[Any] = ContextVar("hangup.turn", default=None)


class Connection(Protocol):
    """What has events."""

    native: Any

    def handle(self, event: Any) -> None:
        """Handles one event (see ``Turn.take``)."""

    def look(self) -> None:
        """There is the room that was waited for, or the WebSocket is over."""


class Receiver:
    """What receives its events by itself, in a greenlet of its own."""

    native: Any

    def arrived(self) -> None:
        """There are some."""
        raise NotImplementedError

    def look(self) -> None:
        """There is the room that was waited for, or the WebSocket is over."""
        raise NotImplementedError


class Dispatcher:
    """The connections of this process, and who runs their handlers."""

    #: Whether those who wait for room have to be told of it: a greenlet cannot wait natively.
    tells = False

    def __init__(self, native: Any) -> None:
        self.native = native
        self._connections: dict[int, Union[Connection, Receiver]] = {}
        self._registered = threading.Lock()
        self._pid = os.getpid()

    def open(
        self, connection: Callable[[Any], Union[Connection, Receiver]], start: Callable[[Any], Any]
    ) -> Any:
        """Starts a native WebSocket, and returns it.

        Args:
            connection: makes the handler of its events, of the native WebSocket.
            start: makes the native WebSocket, of the native dispatcher.
        """
        _diagnostics.refresh()
        with self._registered:  # its first events may come before we know its id
            native = start(self.native)
            self._connections[native.id] = connection(native)
        return native

    def connections(self) -> list[Union[Connection, Receiver]]:
        """Those whose end was not handled yet. Takes no lock: signal handlers ask."""
        return [
            connection
            for connection in list(self._connections.values())
            if not isinstance(connection, Receiver) or connection.native.ending is None
        ]

    def close_all(self, code: int) -> None:
        """Begins the close handshake with every client. Never waits."""
        for connection in self.connections():
            connection.native.close(code)

    def forget(self, native: Any) -> None:
        """Its last event was handled. Takes no lock: the garbage collector calls it."""
        self._connections.pop(native.id, None)

    def let_go(self, native: Any) -> Union[Connection, Receiver, None]:
        """The handler of one that has moved to another process, which is handled here no more."""
        return self._connections.pop(native.id, None)

    def run(self, turn: Any) -> None:
        """Handles events until the turn ends."""
        with self._registered:
            connection = self._connections.get(turn.id)
        if isinstance(connection, Receiver):
            turn.leave()
            connection.arrived()
            return
        while (event := turn.take()) is not None:
            if connection is not None:
                try:
                    connection.handle(event)
                except Exception:  # a bug of ours; those of handlers are the framework's to report
                    logger.exception("hangup: an event of a WebSocket was not handled")


class ThreadDispatcher(Dispatcher):
    """Runs handlers in threads."""

    def __init__(self) -> None:
        parallel = 1 if getattr(sys, "_is_gil_enabled", lambda: True)() else os.cpu_count() or 1
        super().__init__(_hangup.Dispatcher(parallel))
        self._stopped = False
        atexit.register(self._stop)
        self._hire()

    def _hire(self) -> None:
        threading.Thread(target=self._work, name="hangup-handler", daemon=True).start()

    def _work(self) -> None:
        turn = None
        try:
            while not self._stopped:
                turn = self.native.next(IDLE, turn)
                if turn is None:
                    if self.native.idle:
                        return
                    continue
                if turn.is_last:
                    try:
                        self._hire()
                    except RuntimeError as full:  # this thread goes on alone
                        logger.warning("hangup: no thread for handlers: %s", full)
                current.set(turn)
                self.run(turn)
                current.set(None)
                if self.native.idle >= SPARE:
                    return
        finally:
            if turn is not None:
                turn.end()  # by name: an exception's traceback may keep this frame until garbage is collected

    def _stop(self) -> None:
        """Threads must not come back from native code into an interpreter that is gone."""
        if os.getpid() != self._pid:
            return  # a forked child has none of them
        self.close_all(1001)
        self._stopped = True
        self.native.stop(STOP)


class GreenDispatcher(Dispatcher):
    """Runs handlers in greenlets.

    Args:
        spawn: starts a greenlet.
        wait: waits in the hub until a descriptor is readable.
        pause: lets the hub run what is due.
    """

    tells = True

    def __init__(
        self, spawn: Callable[..., Any], wait: Callable[[int], Any], pause: Callable[[], Any]
    ) -> None:
        super().__init__(_hangup.Dispatcher(None))
        self._spawn = spawn
        self._wait = wait
        self._pause = pause
        #: What a greenlet is at that has not waited yet.
        self._turn: Any = None
        atexit.register(self.close_all, 1001)  # a forked child's ends nothing: they are its parent's
        spawn(self._watch)

    def _watch(self) -> None:
        while True:
            self._wait(self.native.fileno())
            if os.getpid() != self._pid:
                return  # in a forked child: the descriptor, and what it tells, are the parent's
            for number in self.native.told():
                connection = self._connections.get(number)
                if connection is not None:
                    connection.look()
            self._spawn(self._work)
            self._pause()  # until it is done, or waits for something
            turn, self._turn = self._turn, None
            if turn is not None:
                turn.step_aside()

    def _work(self) -> None:
        turn = None
        try:
            for _ in range(FAIR):
                turn = self.native.try_next(turn)
                if turn is None:
                    return
                self._turn = turn
                current.set(turn)
                self.run(turn)
                current.set(None)
                if self._turn is not turn:
                    return  # it waited, and others go on since
                self._turn = None
        finally:
            if turn is not None:
                turn.end()


def _gevent() -> Dispatcher:
    import gevent
    from gevent.socket import wait_read

    return GreenDispatcher(gevent.spawn, wait_read, gevent.sleep)


def _eventlet() -> Dispatcher:
    import eventlet
    from eventlet.hubs import trampoline

    return GreenDispatcher(eventlet.spawn_n, functools.partial(trampoline, read=True), eventlet.sleep)


_FLAVOURS: dict[str, Callable[[], Dispatcher]] = {
    "threading": ThreadDispatcher,
    "gevent": _gevent,
    "eventlet": _eventlet,
}
_dispatchers: dict[tuple[int, str], Dispatcher] = {}
_lock = threading.Lock()


def dispatcher(mode: Optional[str] = None) -> Dispatcher:
    """This process's, for ``threading``, ``gevent`` or ``eventlet``; by default for the hub that is patched in."""
    key = (os.getpid(), mode or patched_by() or "threading")
    with _lock:
        if key not in _dispatchers:
            _diagnostics.listen()
            _dispatchers[key] = _FLAVOURS[key[1]]()
        return _dispatchers[key]


def started() -> list[Dispatcher]:
    """Those of this process. Takes no lock: signal handlers ask."""
    return [dispatcher for (pid, _), dispatcher in list(_dispatchers.items()) if pid == os.getpid()]
