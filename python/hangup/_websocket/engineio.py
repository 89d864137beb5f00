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
from typing import Any, Callable, NamedTuple, Optional

from .. import _hangup
from .._green import patched_by
from .._logs.text import escape
from . import dispatch, takeover, tasks
from .outlet import NOOP, Meter, Together, outlet_class, send_together

logger = logging.getLogger("hangup")

OnTaken = Callable[[dict[str, Any]], None]

#: Bytes that may wait for one client. A client that reads nothing is left by its heartbeat long before.
MAX_QUEUED = 64 * 1024 * 1024
#: Seconds for the close handshake: gunicorn's figure for a lingering close.
CLOSE_LIMIT = 2.0
#: To a client that upgrades a session twice.
UPGRADED = "the session has a WebSocket"
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

    __slots__ = (
        "_dispatcher",
        "_is_surplus",
        "_meter",
        "_packet",
        "_probing",
        "_socket",
        "native",
        "on_end",
        "sink",
    )

    def __init__(
        self,
        dispatcher: dispatch.Dispatcher,
        socket: Any,
        native: Any,
        sink: Any,
        on_end: Optional[Callable[[int, int, int, str], None]],
        meter: Optional[Meter],
    ) -> None:
        self._dispatcher = dispatcher
        self._meter = meter
        self._packet = sys.modules["engineio.packet"]
        self._probing = False
        self._socket = socket
        self.native = native
        self.sink = sink
        self.on_end = on_end
        self._is_surplus = socket.upgrading or socket.upgraded
        if self._is_surplus:
            native.close(1002, UPGRADED)
        elif socket.connected:
            self._probing = socket.upgrading = True
        else:
            self._open()

    @property
    def session(self) -> Any:
        """The ``engineio.Socket`` whose transport it is, if it is."""
        return None if self._is_surplus or self._probing else self._socket

    def handle(self, event: Any) -> None:
        """See :class:`dispatch.Connection`."""
        if isinstance(event, tuple) and event[0] == "closed":
            self._closed(*event[1:])
        elif self._is_surplus:
            pass
        elif not isinstance(event, tuple):
            self._receive(event)
        elif event[0] == "probed":
            self._socket.queue.put(self._packet.Packet(NOOP))  # ends the pending poll
        else:
            self._open()

    def look(self) -> None:
        """See :class:`dispatch.Connection`."""
        self._socket.queue.look()

    def _open(self) -> None:
        self._probing = False
        self._socket.connected = self._socket.upgraded = True
        self._socket.upgrading = False
        make_event = self._socket.server.create_event if self._dispatcher.tells else None
        self._socket.queue.attach(self.native, self._meter, make_event)
        self._socket.last_ping = None  # who is silent is decided natively from now on
        if self._socket.closed:
            self.native.close(1000)  # closed while it was probing: nobody else would

    def _receive(self, data: Any) -> None:
        """A message packet, as ``engineio.Socket.receive`` does it."""
        if self._meter is not None:
            self._meter("In", len(data))
        socket, server = self._socket, self._socket.server
        if socket.closed or socket.queue.is_refused:
            return
        if data[:1] == "b" or says_packets(server.logger):
            try:
                packet = self._packet.Packet(encoded_packet=data)
            except ValueError:
                socket.queue.refuse("not base64")
                return
            socket.receive(packet)
            return
        message = data[1:] if isinstance(data, str) else data
        server._trigger_event("message", socket.sid, message, run_async=server.async_handlers)

    def _closed(self, code: int, reason: str, cause: str, received: int, sent: int) -> None:
        socket = self._socket
        if socket.queue.is_refused and cause == "here":
            cause = "violation"
        try:
            if self._is_surplus:
                pass
            elif self._probing:
                socket.upgrading = False  # the session goes on polling
            else:
                leave(socket, REASONS[cause])
        finally:
            self._dispatcher.forget(self.native)
            self.look()  # the dispatcher knows us no more, and somebody may wait for room
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


def meter_of(handler: Any) -> Optional[Meter]:
    """What counts packets for python-socketio's admin interface, which puts a partial method of its own in front of
    ``engineio.Socket._websocket_handler``; None without it.
    """
    buffers = [arg.event_buffer for arg in getattr(handler, "args", ()) if hasattr(arg, "event_buffer")]
    if not buffers:
        return None

    def count(direction: str, size: int) -> None:
        buffers[0].push(f"packets{direction}")
        buffers[0].push(f"bytes{direction}", size)

    return count


class SlowClients(NamedTuple):
    """What is done about clients that do not keep up.

    Attributes:
        policy: of :data:`.emission.POLICIES`.
        budget: bytes that may wait for one client.
    """

    policy: str = "close"
    budget: int = MAX_QUEUED


class Driver:
    """Stands in for ``engineio.Server._async["websocket"]``.

    Args:
        handler: ``engineio.Socket._websocket_handler``, bound to its session.
        server: the ``engineio.Server``.
        stock: what it stands in for, used where a connection cannot leave its server.
        mode: whose hub runs the handlers.
        on_taken: told the environ of each connection that left its server.
        slow: what is done about clients that do not keep up.
    """

    def __init__(
        self, handler: Any, server: Any, *, stock: Any, mode: str, on_taken: OnTaken, slow: SlowClients
    ) -> None:
        self._handler = handler
        self._slow = slow
        self._server = server
        self._stock = stock
        self._mode = mode
        self._on_taken = on_taken

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # A worker without a hub's patch runs no hub, whatever model the application chose.
        hub = patched_by() or ("threading" if "gunicorn.socket" in environ else self._mode)
        dispatcher = dispatch.dispatcher(hub)  # before the connection leaves: this may fail
        taken = None
        try:
            taken = takeover.take(environ, more=not self._handler.__self__.connected)  # the OPEN packet
        except takeover.Declined as reason:
            logger.debug("hangup: a WebSocket is served stock: %s", escape(reason))
        if taken is None:  # out here, or its tracebacks would begin with ours
            return self._stock(self._handler, self._server)(environ, start_response)
        self._begin(dispatcher, environ, taken)
        takeover.trim(environ)
        environ["hangup.ended"] = takeover.Ended(taken.sink)  # engineio 4.8 drops what is returned here
        return ()

    def _begin(self, dispatcher: dispatch.Dispatcher, environ: dict[str, Any], taken: takeover.Taken) -> None:
        server, slow, socket = self._server, self._slow, self._handler.__self__
        is_upgrade = socket.connected
        self._on_taken(environ)
        on_end, meter = environ.get("hangup.on_websocket_end"), meter_of(self._handler)
        dispatcher.open(
            lambda native: Session(dispatcher, socket, native, taken.sink, on_end, meter),
            lambda native: start(server, slow, dispatcher, native, taken.fd, taken.early, upgrade=is_upgrade),
        )


def start(
    eio: Any, slow: SlowClients, dispatcher: Any, native: Any, fd: int, early: bytes, **origin: Any
) -> Any:
    """The native WebSocket of a session.

    Args:
        eio: the ``engineio.Server``.
        slow: what is done about clients that do not keep up.
        dispatcher: who runs its handlers.
        native: its native part.
        fd: the connection, which is the WebSocket's from now on.
        early: what its client sent already.
        origin: ``upgrade`` or ``moved``, see the stub.
    """
    return _hangup.WebSocket(
        fd,
        early,
        native,
        max_message=int(eio.max_http_buffer_size),
        max_queued=slow.budget,
        policy=slow.policy,
        tells=dispatcher.tells,
        stall_limit=float(eio.ping_interval + eio.ping_timeout),
        close_limit=CLOSE_LIMIT,
        heartbeat=(float(eio.ping_interval), float(eio.ping_timeout)),
        **origin,
    )


def sender(eio: Any) -> Callable[..., Any]:
    """Stands in for ``engineio.Server.send_packet``, through which a session that ended during a broadcast raised
    ``SocketIsClosedError`` and kept the packet from everybody behind it. A native connection is given it at once.
    """
    stock = eio.send_packet

    @functools.wraps(stock)
    def send_packet(sid: str, pkt: Any) -> None:
        socket = eio.sockets.get(sid)
        if socket is not None and not socket.closed and not says_packets(eio.logger):
            native = getattr(socket.queue, "native", None)
            if native is not None and not isinstance(pkt, Together):
                native.send(pkt.encode())
                return
        closed = sys.modules["engineio.exceptions"].SocketIsClosedError
        try:
            stock(sid, pkt)
        except closed:
            logger.debug("hangup: %s left during an emit", escape(sid))

    return send_packet


def packet_sender(server: Any) -> Callable[..., Any]:
    """Stands in for ``socketio.Server._send_packet``, which let others come between a packet and its attachments."""
    eio_packet = sys.modules["engineio.packet"]

    @functools.wraps(server._send_packet)
    def _send_packet(eio_sid: str, pkt: Any) -> None:
        encoded = pkt.encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        forward = getattr(server.manager, "forward", None)  # of a native one
        if forward is not None and forward(eio_sid, parts):
            return
        send_together(server, eio_sid, [eio_packet.Packet(eio_packet.MESSAGE, part) for part in parts])

    return _send_packet


def parts(stock: dict[str, Any], mode: str, on_taken: OnTaken, slow: SlowClients) -> dict[str, Any]:
    """What replaces ``engineio.Server._async`` on one server.

    Args:
        stock: the parts of its asynchronous model, which all servers share.
        mode: the model's name.
        on_taken: see :class:`Driver`.
        slow: see :class:`Driver`.
    """
    ours = {
        **stock,
        "websocket": functools.partial(
            Driver, stock=stock["websocket"], mode=mode, on_taken=on_taken, slow=slow
        ),
        "queue": outlet_class(stock["queue"]),
        "sleep": tasks.sleeper(stock["sleep"]),
    }
    if isinstance(stock["event"], type):
        ours["event"] = tasks.event_class(stock["event"])
    return ours


def says_packets(logger: Any) -> bool:
    """Whether a server's logger is told of each packet. It may be any object that has the methods of one."""
    is_enabled = getattr(logger, "isEnabledFor", None)
    return is_enabled is None or bool(is_enabled(logging.INFO))


def is_async(eio: Any) -> bool:
    """Whether it is an ``engineio.AsyncServer``, whose WebSockets are those of its ASGI server."""
    return inspect.iscoroutinefunction(eio.send_packet)


def judge(server: Any) -> str:
    """Why a ``socketio.Server`` is left as it is; empty if it is not."""
    eio = getattr(server, "eio", None)
    if eio is None or not isinstance(getattr(eio, "_async", None), dict):
        return "its engineio server is not one that hangup knows"
    if is_async(eio):
        return ""
    if eio.async_mode not in ("threading", "gevent", "eventlet"):
        return f"async_mode {eio.async_mode!r} keeps its own transport"
    missing = {"thread", "queue", "queue_empty", "event", "websocket", "sleep"} - set(eio._async)
    if missing:
        return f"engineio's {eio.async_mode} model lacks {', '.join(sorted(missing))}"
    if not isinstance(eio._async["queue"], type):
        return "engineio's queue is not a class"
    return ""
