"""A WebSocket of an application that speaks its own protocol on it, with blocking calls.

Source of the names: simple-websocket (``simple_websocket.Server``), which flask-sock hands to its handlers.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from typing import Any, Optional, Union

from .. import _connection_limit, _hangup
from .._green import patched_by
from ..exceptions import HangupError
from . import dispatch, takeover
from .member import Member
from .room import LOOK, HubRoom, wait_in_thread

#: Bytes that may wait for the client before :meth:`WebSocket.send` waits for room.
HIGH_WATER = 1024 * 1024
#: What may be left of it when :meth:`WebSocket.send` goes on.
LOW_WATER = HIGH_WATER // 2
#: Bytes that may wait for the client at all: also the largest message that can be sent.
MAX_QUEUED = 64 * 1024 * 1024
#: No deadline is farther away, in seconds.
A_DAY = 86_400.0


class Refused(HangupError):
    """The request is no WebSocket handshake, or one too many. ``response`` is ``(status, headers, body)``."""

    response: takeover.Response


class Closed(HangupError):
    """The WebSocket is closed. ``code`` and ``reason`` are the close frame's; 1006 if there was none."""

    code: int = 1006
    reason: str = ""


class WebSocket:
    """The WebSocket that a WSGI request asks for. Whole frames, whoever sends; no thread of its own.

    Args:
        environ: the request's.
        subprotocols: those that are spoken, in the order of preference; the first that the client offers is chosen.
        max_message_size: bytes; a client that sends more is closed with 1009.
        stall_limit: seconds for which the client may read nothing while something waits for it.
        ping_interval: seconds from a pong to the next ping; as long may the client take for it. None: no pings, and a
            client is left within 45 s when its machine is gone.

    Raises:
        Refused: not a handshake (RFC 6455 section 4.2.1), or its client began too many. Nothing was written.
        hangup._websocket.takeover.Declined: the server keeps its connection, TLS for example.
        OSError: the client has left.
    """

    def __init__(
        self,
        environ: dict[str, Any],
        *,
        subprotocols: tuple[str, ...] = (),
        max_message_size: int = 16 * 1024 * 1024,
        stall_limit: float = 60.0,
        ping_interval: Optional[float] = None,
    ) -> None:
        refused = takeover.refusal(environ) or _connection_limit.refusal(environ)
        if refused is not None:
            error = Refused(errno.EPROTO, refused[2].decode())
            error.response = refused
            raise error
        offered = [name.strip() for name in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
        self.subprotocol = next((name for name in subprotocols if name in offered), None)
        taken = takeover.take(environ, self.subprotocol)
        self._sink = taken.sink
        self._pid = os.getpid()
        self._ending: Optional[tuple[int, str]] = None
        self._ended = threading.Lock()  # taken for good by whoever meets the end first
        self._on_end = environ.get("hangup.on_websocket_end")
        limits: dict[str, Any] = {
            "max_message": int(max_message_size),
            "max_queued": MAX_QUEUED,
            "stall_limit": min(stall_limit, A_DAY),
            "close_limit": 2.0,
        }
        if ping_interval:
            limits["pings"] = (min(ping_interval, A_DAY),) * 2
        self._inbox: Any = None
        hub = patched_by()
        if hub is None:
            self._native = _hangup.WebSocket(taken.fd, taken.early, None, **limits)
        else:
            dispatcher = dispatch.dispatcher(hub)
            self._inbox = _Inbox(hub, dispatcher)
            dispatcher.open(
                self._inbox.of,
                lambda native: _hangup.WebSocket(taken.fd, taken.early, native, tells=True, **limits),
            )
            self._native = self._inbox.native
        self._wait = wait_in_thread if self._inbox is None else self._inbox.room.wait
        self._member = Member()
        if (
            self._inbox is not None
        ):  # a broadcaster may keep the member, and wait for room, when this object is gone
            weakref.finalize(self._member, dispatcher.forget, self._native).atexit = False
        self._member.attach(self._native, self._wait)
        key = id(self)
        _open[key] = weakref.ref(self, lambda _: _open.pop(key, None))
        for code in _all_closed:  # while the handshake was under way
            self.begin_close(code)

    @property
    def connected(self) -> bool:
        """False once the WebSocket is closed; messages that came before may still be received."""
        return not self._is_over()

    @property
    def queued(self) -> int:
        """What waits for the client, in bytes."""
        return int(self._native.queued)

    @property
    def dropped(self) -> int:
        """Broadcast messages that the client does not get, for want of room."""
        return int(self._native.dropped)

    @property
    def coalesced(self) -> int:
        """Broadcast messages that waited, and were replaced by a newer one of their key."""
        return int(self._native.coalesced)

    def send(self, data: Union[str, bytes, bytearray, memoryview]) -> None:
        """Sends a message; waits while much waits for the client.

        Raises:
            Closed: the WebSocket is closed.
        """
        if self._native.queued > HIGH_WATER:
            self._wait(self._native, LOW_WATER)
        if self._is_over() or self._native.send(data) in ("gone", "overflowed"):
            self._is_over()
            raise self._closed()

    def receive(self, timeout: Optional[float] = None) -> Union[str, bytes, None]:
        """The next message; None after ``timeout`` seconds.

        Raises:
            Closed: the WebSocket is closed, and everything that came before was received.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            over = self._is_over()  # first: what came before the end is there by then
            left = LOOK if deadline is None else min(deadline - time.monotonic(), LOOK)
            event = self._next(0.0 if over else max(left, 0.0))
            if isinstance(event, tuple):
                self._end(*event[1:])
            elif event is not None:
                message: Union[str, bytes] = event
                return message
            elif over:
                raise self._closed()
            elif deadline is not None and time.monotonic() >= deadline:
                return None

    def _is_over(self) -> bool:
        if self._ending is None and (ending := self._native.ending) is not None:
            self._end(*ending[1:])
        return self._ending is not None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begins the close handshake after what was sent. Idempotent; never waits."""
        self.begin_close(code, reason)
        if self._ending is None:
            self._end(code, reason, "here", 0, self._native.sent)

    def begin_close(self, code: int, reason: str = "") -> None:
        """As :meth:`close`, but whoever is in :meth:`receive` is told when the client has answered."""
        if self._pid == os.getpid():
            self._native.close(code, reason)

    def _next(self, limit: float) -> Any:
        return self._native.receive(limit) if self._inbox is None else self._inbox.get(limit)

    def _end(self, code: int, reason: str, cause: str, received: int, sent: int) -> None:
        if not self._ended.acquire(blocking=False):
            return
        self._ending = (code, reason)
        if self._sink is not None:
            self._sink.close()
        if self._on_end is not None:
            self._on_end(code, received, sent, cause)

    def _closed(self) -> Closed:
        code, reason = self._ending or (1006, "")
        error = Closed(errno.ENOTCONN, f"the WebSocket is closed: {code} {reason}".rstrip())
        error.code, error.reason = code, reason
        return error


#: Those that may still be open. Each knows the process that it belongs to.
_open: dict[int, weakref.ref[WebSocket]] = {}
#: The codes that :func:`close_all` was called with.
_all_closed: list[int] = []


def close_all(code: int) -> None:
    """Begins the close handshake with every client of this process, and with those to come. Never waits."""
    _all_closed.append(code)
    for reference in list(_open.values()):  # one step: other threads add to it, and a signal handler is here
        websocket = reference()
        if websocket is not None:
            websocket.begin_close(code)


def natives() -> list[Any]:
    """The native connections of those of this process that may still be open."""
    known = [reference() for reference in list(_open.values())]
    return [one._native for one in known if one is not None and one._pid == os.getpid()]


class _Inbox(dispatch.Receiver):
    """The application's greenlet waits here until its WebSocket has events; it takes them as a thread would."""

    def __init__(self, hub: str, dispatcher: dispatch.Dispatcher) -> None:
        if hub == "gevent":
            from gevent.event import Event
        else:
            from eventlet.green.threading import Event
        self._arrived = Event()
        self.room = HubRoom(Event())
        self._dispatcher = dispatcher

    def of(self, native: Any) -> _Inbox:
        self.native = native
        return self

    def arrived(self) -> None:
        self._arrived.set()

    def look(self) -> None:
        self.room.look()

    def get(self, limit: float) -> Any:
        self._arrived.clear()
        event = self.native.receive(0.0)
        if event is None:
            self._arrived.wait(limit)
            event = self.native.receive(0.0)
        if isinstance(event, tuple):
            self._dispatcher.forget(self.native)
            self.look()  # the dispatcher knows us no more, and somebody may wait for room
        return event
