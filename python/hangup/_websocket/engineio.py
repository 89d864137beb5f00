"""Engine.IO sessions of python-engineio on native WebSockets.

Promised
    Handlers, rooms, namespaces, acknowledgements, sessions and the polling transport stay python-socketio's. Its
    WebSocket transport is replaced: no thread per client, no Python per ping, whole frames.

How
    ``engineio.Server._async`` names the parts of its asynchronous model; two of them are replaced on the server's own
    copy, ``websocket`` and ``queue``. A session's queue is Python's while the client polls, and
    hands packets to the native connection afterwards.
    (Names used: engineio/server.py, engineio/socket.py, 4.8.0 to 4.15.1.)
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import threading
from typing import Any, Callable, Optional

from .. import _hangup
from .._green import patched_by
from . import dispatch, longpoll, takeover, tasks

logger = logging.getLogger("hangup")

#: Bytes that may wait for one client. A client that reads nothing is left by its heartbeat long before.
MAX_QUEUED = 64 * 1024 * 1024
#: Seconds for the close handshake: gunicorn's figure for a lingering close.
CLOSE_LIMIT = 2.0
#: Engine.IO's packet that ends a poll.
NOOP = 6

#: The cause of a native connection's end, in the words of ``engineio.Server.reason``.
REASONS = {
    "left": "CLIENT_DISCONNECT",
    "peer": "TRANSPORT_CLOSE",
    "transport": "TRANSPORT_CLOSE",
    "here": "SERVER_DISCONNECT",
    "silent": "PING_TIMEOUT",
    "stalled": "PING_TIMEOUT",
    "violation": "TRANSPORT_ERROR",
    "overflow": "TRANSPORT_ERROR",
}


class Session:
    """One Engine.IO session on one native WebSocket."""

    __slots__ = ("_dispatcher", "_packet", "_probing", "_socket", "native", "on_end", "sink")

    def __init__(
        self,
        dispatcher: dispatch.Dispatcher,
        socket: Any,
        native: Any,
        sink: Any,
        on_end: Optional[Callable[[int, int, int, str], None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._packet = sys.modules["engineio.packet"]
        self._probing = False
        self._socket = socket
        self.native = native
        self.sink = sink
        self.on_end = on_end
        if socket.connected:
            self._probing = socket.upgrading = True
        else:
            self._open()

    def handle(self, event: Any) -> None:
        """See :class:`dispatch.Connection`."""
        if not isinstance(event, tuple):
            self._receive(event)
        elif event[0] == "closed":
            self._closed(*event[1:])
        elif event[0] == "probed":
            self._socket.queue.put(self._packet.Packet(NOOP))  # ends the pending poll
        else:
            self._open()

    def _open(self) -> None:
        self._probing = False
        self._socket.connected = self._socket.upgraded = True
        self._socket.upgrading = False
        self._socket.queue.attach(self.native)
        self._socket.last_ping = None  # who is silent is decided natively from now on
        if self._socket.closed:
            self.native.close(1000)  # closed while it was probing: nobody else would

    def _receive(self, data: Any) -> None:
        if not self._socket.closed:
            self._socket.receive(self._packet.Packet(encoded_packet=data))

    def _closed(self, code: int, reason: str, cause: str, received: int, sent: int) -> None:
        socket = self._socket
        try:
            if self._probing:
                socket.upgrading = False  # the session goes on polling
            else:
                leave(socket, REASONS[cause])
        finally:
            self._dispatcher.forget(self.native)
            if self.sink is not None:
                self.sink.close()
            if self.on_end is not None:
                self.on_end(code, received, sent, cause)


def leave(socket: Any, reason: str) -> None:
    """Ends a session whose client has gone, as ``engineio.Socket.close`` does."""
    reasons = getattr(socket.server, "reason", None)  # since engineio 4.11
    told = {} if reasons is None else {"reason": getattr(reasons, reason)}
    socket.close(wait=False, abort=True, **told)
    socket.server.sockets.pop(socket.sid, None)


@functools.cache
def outlet_class(base: type) -> type:
    """A queue class of an asynchronous model, with a way out to the native connection."""

    class Outlet(base):  # type: ignore[misc]
        """What ``engineio.Socket`` puts its packets into."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._native: Any = None
            self._when_filled: Optional[Callable[[bool], Any]] = None
            self._order = threading.RLock()  # what is put first is sent first, also around the attachment

        @property
        def is_attached(self) -> bool:
            """Whether packets go to a native connection."""
            return self._native is not None

        def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
            with self._order:
                if self._native is None:
                    super().put(item, *args, **kwargs)  # unbounded: never waits
                else:
                    self._send(item)
            self._tell()

        def attach(self, native: Any) -> None:
            """From now on packets go to ``native``, those that wait first."""
            with self._order:
                self._native = native
                while not self.empty():
                    item = self.get(block=False)
                    self.task_done()
                    if (
                        item is None or item.packet_type != NOOP
                    ):  # the poll that it should have ended never came
                        self._send(item)
            self._tell()

        def when_filled(self, function: Callable[[bool], Any]) -> None:
            """Calls ``function(True)`` once, as soon as something waits; ``function(False)`` when another one takes
            its place.
            """
            with self._order:
                displaced, self._when_filled = self._when_filled, function
                filled = self._native is not None or not self.empty()
            if displaced is not None:
                displaced(False)
            if filled:
                self._tell()

        def _tell(self) -> None:
            if self._when_filled is None:
                return
            with self._order:
                function, self._when_filled = self._when_filled, None
            if function is not None:
                function(True)

        def join(self) -> None:
            if self._native is None:
                super().join()

        def _send(self, packet: Any) -> None:
            if packet is None:
                self._native.close(1000)
            else:
                self._native.send(packet.encode())

    return Outlet


class Driver:
    """Stands in for ``engineio.Server._async["websocket"]``.

    Args:
        handler: ``engineio.Socket._websocket_handler``, bound to its session.
        server: the ``engineio.Server``.
        stock: what it stands in for, used where a connection cannot leave its server.
        mode: whose hub runs the handlers.
    """

    def __init__(self, handler: Any, server: Any, *, stock: Any, mode: str) -> None:
        self._handler = handler
        self._server = server
        self._stock = stock
        self._mode = mode

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # A worker without a hub's patch runs no hub, whatever model the application chose.
        hub = patched_by() or ("threading" if "gunicorn.socket" in environ else self._mode)
        dispatcher = dispatch.dispatcher(hub)  # before the connection leaves: this may fail
        taken = None
        try:
            taken = takeover.take(environ)
        except takeover.Declined as reason:
            logger.debug("hangup: a WebSocket is served stock: %s", reason)
        if taken is None:  # out here, or its tracebacks would begin with ours
            return self._stock(self._handler, self._server)(environ, start_response)
        self._begin(dispatcher, environ, taken)
        takeover.trim(environ)
        environ["hangup.ended"] = takeover.Ended(taken.sink)  # engineio 4.8 drops what is returned here
        return ()

    def _begin(self, dispatcher: dispatch.Dispatcher, environ: dict[str, Any], taken: takeover.Taken) -> None:
        server, socket = self._server, self._handler.__self__

        def start(native: Any) -> Any:
            return _hangup.WebSocket(
                taken.fd,
                taken.early,
                native,
                max_message=int(server.max_http_buffer_size),
                max_queued=MAX_QUEUED,
                stall_limit=float(server.ping_interval + server.ping_timeout),
                close_limit=CLOSE_LIMIT,
                heartbeat=(float(server.ping_interval), float(server.ping_timeout)),
                upgrade=socket.connected,
            )

        on_end = environ.get("hangup.on_websocket_end")
        dispatcher.open(lambda native: Session(dispatcher, socket, native, taken.sink, on_end), start)


class Sessions(dict[str, Any]):
    """``engineio.Server.sockets``, which does not contain sessions that have ended.

    engineio looks a session up in two steps; one that ended in between raised ``KeyError('Session is disconnected')``
    through its request.
    """

    def __contains__(self, sid: object) -> bool:
        socket = self.get(sid)  # type: ignore[call-overload]
        if socket is None:
            return False
        if socket.closed:
            self.pop(socket.sid, None)
            return False
        return True


def sender(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in for ``engineio.Server.send_packet``, through which a session that ended during a broadcast raised
    ``SocketIsClosedError`` and kept the packet from everybody behind it.
    """

    @functools.wraps(stock)
    def send_packet(sid: str, pkt: Any) -> None:
        closed = sys.modules["engineio.exceptions"].SocketIsClosedError
        try:
            stock(sid, pkt)
        except closed:
            logger.debug("hangup: %s left during an emit", sid)

    return send_packet


def parts(stock: dict[str, Any], mode: str) -> dict[str, Any]:
    """What replaces ``engineio.Server._async`` on one server.

    Args:
        stock: the parts of its asynchronous model, which all servers share.
        mode: the model's name.
    """
    ours = {
        **stock,
        "websocket": functools.partial(Driver, stock=stock["websocket"], mode=mode),
        "queue": outlet_class(stock["queue"]),
        "sleep": tasks.sleeper(stock["sleep"]),
    }
    if isinstance(stock["event"], type):
        ours["event"] = tasks.event_class(stock["event"])
    return ours


def gate(eio: Any) -> Callable[..., Any]:
    """Stands in for ``engineio.Server.handle_request``: a bad opening handshake does not make a session, and polls do
    not take all threads of the server.
    """
    stock = eio.handle_request

    @functools.wraps(stock)
    def handle_request(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket" and "wsgi.websocket" not in environ:
            refused = takeover.refusal(environ)
            if refused is not None:
                status, headers, body = refused
                start_response(status, headers)
                return [body]
            session = longpoll.session_of(eio, environ)
            if session is not None and (session.upgrading or session.upgraded):
                return upgrade(refuse, environ, start_response)
            return upgrade(stock, environ, start_response)
        session = longpoll.poll_of(eio, environ) if longpoll.waiting.threads else None
        if session is None:
            return stock(environ, start_response)
        with longpoll.waiting.place() as granted:
            if not granted and longpoll.answer_later(eio, stock, session, environ):
                return takeover.Ended(None)
            return stock(environ, start_response)

    return handle_request


def upgrade(stock: Callable[..., Any], environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """The response to a good opening handshake: engineio's, unless the connection has left its server."""
    responses: list[tuple[Any, ...]] = []
    body = stock(environ, lambda *response: responses.append(response))
    ended = environ.pop("hangup.ended", None)
    if ended is None:
        for response in responses:
            start_response(*response)
        return body
    if ended.is_awaited:
        start_response("101 Switching Protocols", [])  # hop-by-hop headers are the server's (PEP 3333)
    return ended


def refuse(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Closes a second WebSocket of a session, behind its handshake as Engine.IO's own server does."""
    try:
        taken = takeover.take(environ)
    except takeover.Declined:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    second = _hangup.WebSocket(
        taken.fd,
        taken.early,
        None,
        max_message=0,
        max_queued=MAX_QUEUED,
        stall_limit=CLOSE_LIMIT,
        close_limit=CLOSE_LIMIT,
    )
    second.close(1002, "the session has a WebSocket")
    on_end = environ.get("hangup.on_websocket_end")
    if on_end is not None:
        on_end(1002, 0, 0, "violation")
    takeover.trim(environ)
    environ["hangup.ended"] = takeover.Ended(taken.sink)
    return ()


def judge(server: Any) -> str:
    """Why a ``socketio.Server`` is left as it is; empty if it is not."""
    eio = getattr(server, "eio", None)
    if eio is None or not isinstance(getattr(eio, "_async", None), dict):
        return "its engineio server is not one that hangup knows"
    if eio.async_mode not in ("threading", "gevent", "eventlet"):
        return f"async_mode {eio.async_mode!r} keeps its own transport"
    missing = {"thread", "queue", "queue_empty", "event", "websocket", "sleep"} - set(eio._async)
    if missing:
        return f"engineio's {eio.async_mode} model lacks {', '.join(sorted(missing))}"
    if not isinstance(eio._async["queue"], type) or inspect.iscoroutinefunction(eio.send_packet):
        return "engineio's queue is not a class"
    return ""
