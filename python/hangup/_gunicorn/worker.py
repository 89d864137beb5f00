"""What is added to a gunicorn worker class. Each mixin goes in front of the class that the user chose.

Nothing starts before fork: a worker object is made in the master, and :meth:`init_process` runs in the worker.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import Any, Callable, Optional

from .. import _diagnostics, _hangup, _install, _reports, _siblings
from .._control import server as control
from .._siblings.arrivals import HubListener, PassedListener
from .._siblings.moves import Host
from .._siblings.passing import routed
from .._websocket import longpoll
from .base import Worker
from .faces import server_class, takes_over, with_faces
from .listener import GuardedListener
from .threads import ThreadWorker
from .websockets import WebSocketWorker, logs_end

#: Seconds for which a worker that leaves waits for its lingering connections.
LINGER = 2.0


class GuardedWorker(WebSocketWorker):
    """Common to all: the application's faces, and the end."""

    passed_listener: type[PassedListener] = PassedListener
    passed: Optional[PassedListener] = None

    def init_process(self) -> None:
        _hangup.widen_descriptor_table()  # before there are threads
        _reports.forward_to(logging.getLogger("gunicorn.error"))
        super().init_process()

    def load_wsgi(self) -> None:
        _install.take_over_websockets(("socketio", "flask_sock"), imported=False)
        super().load_wsgi()
        if self.cfg.is_ssl:
            return
        if _siblings.secret() and "engineio" in sys.modules:
            self.listen_to_siblings()
        self.wsgi = with_faces(routed(self.wsgi), self.finish_upgraded, functools.partial(logs_end, self))

    def listen_to_siblings(self) -> None:
        """Takes in connections that other workers pass to this one."""
        try:
            self.passed = self.passed_listener(self.sockets[0])
        except OSError as error:
            self.log.warning("hangup: worker %d serves its own clients alone: %s", os.getpid(), error)
            return
        if "socketio" in sys.modules:
            _install.start_siblings(Host(lambda: self.accepts_sessions, functools.partial(logs_end, self)))
        self.sockets = [*self.sockets, self.passed]
        if hasattr(self, "wait_fds"):  # what a sync worker waits for
            self.wait_fds.insert(0, self.passed)

    def stop_accepting(self) -> None:
        super().stop_accepting()
        if self.passed is not None:
            self.passed.close()

    def finish_upgraded(self, start_response: Callable[..., Any]) -> Any:
        """Ends a request after which the connection is no longer HTTP: the one quiet way out of gunicorn."""
        raise StopIteration

    def run(self) -> None:
        _diagnostics.listen()  # here a hub is patched in, and runs
        control.start(self)
        super().run()
        if _hangup.drain(0.0):
            self.drain(LINGER)
        statistics = _hangup.totals()
        self.log.info(
            "hangup: worker %d leaves: %s",
            os.getpid(),
            ", ".join(f"{name} {count}" for name, count in statistics.items() if count)
            or "nothing to report",
        )

    def drain(self, limit: float) -> None:
        """Waits for lingering connections, at most ``limit`` seconds, without blocking a hub."""
        _hangup.drain(limit)


class ListeningWorker(GuardedWorker):
    """sync and gthread: they accept by themselves."""

    def init_process(self) -> None:
        if not self.cfg.is_ssl:
            self.sockets = [
                GuardedListener(listener, server_class(), self.cfg.threads, self.log, self.accepts_early())
                for listener in self.sockets
            ]
        longpoll.waiting.threads = self.cfg.threads  # known before the application may be asked
        super().init_process()

    def accepts_early(self) -> bool:
        """Whether clients are accepted before their request. Not by one of several sync workers: the request would wait
        for what this one does meanwhile, although another one is idle.
        """
        return bool(self.cfg.workers == 1)

    def guarded(self) -> list[GuardedListener]:
        return [listener for listener in self.sockets if isinstance(listener, GuardedListener)]

    def stop_accepting(self) -> None:
        super().stop_accepting()
        for listener in self.guarded():
            listener.leave()

    def is_awaited(self) -> bool:
        return any(listener.is_awaited for listener in self.guarded())


class GuardedThreadWorker(ThreadWorker, ListeningWorker):
    """gthread."""

    def accepts_early(self) -> bool:
        return True  # its main thread is never busy


class GuardedAsyncWorker(GuardedWorker):
    """gevent and eventlet: their hubs accept, and hand over a connected socket."""

    passed_listener = HubListener
    accepts_while_leaving = True  # for up to a second

    def notify(self) -> None:
        super().notify()
        if not self.alive:  # whoever notifies now waits for the last requests, behind the loop
            self.close_websockets()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        came_by = getattr(listener, "fd", listener)  # eventlet's sockets are around what they are made of
        super().handle(listener, face_of(client, came_by), addr)


class GuardedEventletWorker(GuardedAsyncWorker):
    """eventlet."""

    def pause(self, seconds: float) -> None:
        from eventlet import sleep

        sleep(seconds)

    def drain(self, limit: float) -> None:
        from eventlet import tpool

        tpool.execute(super().drain, limit)


class GuardedGeventWorker(GuardedAsyncWorker):
    """gevent, and gevent_pywsgi, whose server hands the socket to a handler of its own."""

    def init_process(self) -> None:
        if self.server_class is not None:
            self.server_class = type(
                "Guarded" + self.server_class.__name__, (TakesOver, self.server_class), {}
            )
        super().init_process()

    def pause(self, seconds: float) -> None:
        from gevent import sleep

        sleep(seconds)

    def finish_upgraded(self, start_response: Callable[..., Any]) -> Any:
        if self.server_class is None:
            return super().finish_upgraded(start_response)
        start_response("101 Switching Protocols", [])  # pywsgi prints a traceback for StopIteration
        return ()

    def drain(self, limit: float) -> None:
        from gevent import get_hub

        get_hub().threadpool.apply(super().drain, (limit,))


def face_of(client: Any, listener: Any) -> Any:
    """The server's face of a hub's client socket."""
    return listener.face_of(client) if isinstance(listener, HubListener) else takes_over(client)


class TakesOver(Worker):
    """Goes in front of a ``gevent.pywsgi.WSGIServer``."""

    socket: Any

    def handle(self, client: Any, address: Any) -> None:
        server = face_of(client, self.socket)
        try:
            super().handle(server, address)
        finally:
            if server is not client:
                server.end()  # pywsgi closes behind the back of its request file, which may still be referred to


MIXINS: dict[str, type] = {
    "gunicorn.workers.sync.SyncWorker": ListeningWorker,
    "gunicorn.workers.gthread.ThreadWorker": GuardedThreadWorker,
    "gunicorn.workers.ggevent.GeventWorker": GuardedGeventWorker,
    "gunicorn.workers.geventlet.EventletWorker": GuardedEventletWorker,
}


def guarded_class(worker_class: type, base: str) -> type:
    """``worker_class`` with the mixin for ``base`` (see :mod:`.support`) in front."""
    return type(f"{worker_class.__name__}Guarded", (MIXINS[base], worker_class), {})
