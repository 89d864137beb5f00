"""gthread's main thread, woken less often.

Each time that a thread lets go of the interpreter's lock around a call to the kernel, another one takes it, and both
switch.

Promised
    Clients whose requests are here are taken in together (gunicorn >= 24), at most as many as there are threads. A
    connection that left the worker (a WebSocket) is counted as ended when the main thread comes by, or at once if
    somebody waits for it. The wake-up pipe is not closed before its last writer has gone.

How
    gunicorn since 24 has its threads defer what the main thread must do, and write to a pipe. Before that, they do it
    by themselves.
"""

from __future__ import annotations

import collections
import functools
import sys
from typing import TYPE_CHECKING, Any, Callable

from .._siblings.arrivals import PassedListener
from .base import Worker
from .faces import ServerSocket
from .listener import GuardedListener


class ThreadWorker(Worker):
    """Goes in front of gunicorn's."""

    def init_process(self) -> None:
        queue = getattr(self, "method_queue", None)  # since gunicorn 24
        if queue is not None:
            self.method_queue = type("GuardedMethodQueue", (GuardedMethodQueue, type(queue)), {})()
        super().init_process()

    def accept(self, *server_and_listener: Any) -> None:
        listener = server_and_listener[-1]
        if isinstance(listener, PassedListener):
            self.take_in(listener)
            return
        # Before gunicorn 24, clients are polled behind their acceptance, and not at all above worker_connections.
        enqueues = hasattr(self, "method_queue") and isinstance(listener, GuardedListener)
        for _ in range(self.cfg.threads if enqueues else 1):
            super().accept(*server_and_listener)
            if enqueues and not (listener.gave_one and self.nr_conns < self.worker_connections):
                break

    def take_in(self, listener: PassedListener) -> None:
        """Accepts clients whose requests were read already: no version of gunicorn has to wait for those."""
        connection_class = sys.modules["gunicorn.workers.gthread"].TConn
        for _ in range(self.cfg.threads):
            try:
                client, address = listener.accept()
            except BlockingIOError:
                return
            client.setblocking(True)
            self.nr_conns += 1
            self.enqueue_req(connection_class(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Any) -> None:
        if isinstance(conn.sock, ServerSocket):
            conn.data_ready = True  # it was accepted with its request, or is polled: no thread looks again
        super().enqueue_req(conn)

    def notify(self) -> None:
        super().notify()
        if hasattr(self, "method_queue"):
            self.method_queue.run_patient()

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        self.method_queue.is_awaited = not enabled
        if not enabled:
            self.method_queue.hurry()


if TYPE_CHECKING:

    class MethodQueue:
        """gunicorn's ``PollableMethodQueue``."""

        def defer(self, callback: Callable[..., Any], *args: Any) -> None: ...

else:
    MethodQueue = object


class GuardedMethodQueue(MethodQueue):
    """Goes in front of gunicorn's."""

    def __init__(self) -> None:
        super().__init__()
        self._patient: collections.deque[Callable[[], Any]] = collections.deque()
        #: Whether the worker waits for connections to end.
        self.is_awaited = True

    def defer(self, callback: Callable[..., Any], *args: Any) -> None:
        if not (args and has_left(args[0])):
            super().defer(callback, *args)
            return
        self._patient.append(functools.partial(callback, *args))
        if (
            self.is_awaited
        ):  # asked behind the append: whoever begins to wait looks at what there is after saying so
            self.hurry()

    def hurry(self) -> None:
        """Has the main thread woken for the ends that it would come by."""
        for callback in self._taken():
            super().defer(callback)

    def run_patient(self) -> None:
        """On the main thread: ends connections that left."""
        for callback in self._taken():
            callback()

    def _taken(self) -> Any:
        while self._patient:
            try:
                yield self._patient.popleft()
            except IndexError:  # another thread was faster
                return

    def close(self) -> None:
        """Nothing: gunicorn's ``defer()`` writes to the number of the pipe also after ``close()``, when it could be a
        file of the application. The process ends moments later, and the pipe with it. A lock around each
        ``defer()``, held while the GIL is not, would make the threads queue.
        """


def has_left(conn: Any) -> bool:
    """Whether a connection is not its worker's any more."""
    sock = getattr(conn, "sock", None)
    return isinstance(sock, ServerSocket) and sock._is_detached
