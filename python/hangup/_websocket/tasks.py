"""engineio's background tasks, events and sleeps, where clients cost no thread.

Promised
    Event handlers run on the thread that has their client's turn, in order, and step aside when they wait. The pings of
    all polling clients share one thread; native connections ping by themselves.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import sys
import threading
import time
import weakref
from typing import Any, Callable, Optional

from . import dispatch

logger = logging.getLogger("hangup")


class Timer:
    """One thread that calls functions later, for all polling clients."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._running = False

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        """Calls ``function`` after ``delay`` seconds."""
        with self._changed:
            entry = (time.monotonic() + delay, next(self._order), function)
            heapq.heappush(self._due, entry)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="hangup-timer", daemon=True).start()
            elif self._due[0] is entry:  # or the thread wakes up early enough by itself
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                _, _, function = heapq.heappop(self._due)
            try:
                function()
            except Exception:
                logger.exception("hangup: a ping was not sent")


@functools.cache
def event_class(base: type) -> type:
    """An event class of an asynchronous model, in whose ``wait`` a handler lets others go on: ``call()`` waits so for
    what its own client sends next.
    """

    class Event(base):  # type: ignore[misc]
        """What ``engineio.Server.create_event`` makes."""

        def wait(self, *args: Any, **kwargs: Any) -> Any:
            step_aside()
            return super().wait(*args, **kwargs)

    return Event


def sleeper(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in for ``engineio.Server._async["sleep"]``."""

    @functools.wraps(stock)
    def sleep(*args: Any, **kwargs: Any) -> Any:
        step_aside()
        return stock(*args, **kwargs)

    return sleep


def step_aside() -> None:
    """The calling thread is about to wait: if it has a client's turn, others go on."""
    turn = dispatch.current.get()
    if turn is not None:
        turn.step_aside()


def starter(stock: Callable[..., Any], eio: Any, mode: str) -> Callable[..., Any]:
    """Stands in for ``engineio.Server.start_background_task``: pings of polling clients share one thread, and event
    handlers run on the thread that has the client's turn.
    """
    timer = Timer()

    @functools.wraps(stock)
    def start_background_task(target: Any, *args: Any, **kwargs: Any) -> Any:
        turn = dispatch.current.get()
        if turn is not None and getattr(target, "__name__", "") == "_handle_event_internal":
            turn.let_others_in()
            return Done(target, *args, **kwargs)
        socket = pinged_by(target)
        if socket is not None:
            socket.last_ping = None  # engineio 4.8 clears it here, in what is not run
            ping = functools.partial(ping_if_polling, weakref.ref(socket))  # by then it may be long gone
            if mode == "threading":
                return timer.call_later(eio.ping_interval, ping)
            return stock(lambda: (eio.sleep(eio.ping_interval), ping()))
        return stock(target, *args, **kwargs)

    return start_background_task


def pinged_by(target: Any) -> Any:
    """The session that a background task pings; None if it is another task. python-socketio's admin interface puts a
    partial method of its own in front.
    """
    function = getattr(target, "func", target)
    is_ping = getattr(function, "__name__", "") in ("_send_ping", "_eio_send_ping")
    return getattr(function, "__self__", None) if is_ping else None


def ping_if_polling(session: weakref.ref[Any]) -> None:
    """``engineio.Socket._send_ping`` after its sleep; native connections ping by themselves."""
    socket = session()
    if socket is None or socket.closing or socket.closed or socket.queue.is_attached:
        return
    packet = sys.modules["engineio.packet"]
    socket.last_ping = time.time()
    socket.send(packet.Packet(packet.PING))
    if socket.queue.is_attached:  # upgraded meanwhile: its pong is not seen here
        socket.last_ping = None


class Done:
    """A background task that has run already, on the calling thread."""

    def __init__(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            target(*args, **kwargs)
        except Exception:  # reported as a thread's would be
            reported = threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
            threading.excepthook(reported)

    def join(self, timeout: Optional[float] = None) -> None:
        """Returns at once."""
