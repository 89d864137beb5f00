"""The queue of an Engine.IO session, and its way out to the native connection.

Promised
    What is put first is sent first, also while the session leaves polling for its WebSocket.

How
    It is the queue of the asynchronous model while the client polls. That of threads (``queue.Queue``: a lock and three
    conditions) is made when something is asked of it, which is never if the client begins with a WebSocket.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, Callable, Optional

from .. import _hangup
from .room import HubRoom, wait_in_thread

#: Engine.IO's packet that ends a poll.
NOOP = 6

#: In front of a message's text (engine.io-protocol, packet types).
MESSAGE = "4"

#: Is told of packets: ``In`` or ``Out``, and the length.
Meter = Callable[[str, int], None]


class Together:
    """Packets of messages that nothing may come between. What engineio sees of it is the first."""

    __slots__ = ("data", "packet_type", "packets")

    def __init__(self, packets: list[Any]) -> None:
        self.packets = packets
        self.packet_type = packets[0].packet_type
        self.data = packets[0].data


def send_together(server: Any, eio_sid: str, packets: list[Any]) -> None:
    """Sends Engine.IO packets of a ``socketio.Server``, as far as its transport allows without others in between."""
    queue = getattr(server.eio.sockets.get(eio_sid), "queue", None)
    together = len(packets) > 1 and hasattr(queue, "mailbox")
    for packet in [Together(packets)] if together else packets:
        server._send_eio_packet(eio_sid, packet)


@functools.cache
def outlet_class(base: type) -> type:
    """A queue class of an asynchronous model, with a way out to the native connection."""

    class Outlet(base):  # type: ignore[misc]
        """What ``engineio.Socket`` puts its packets into."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._order = threading.RLock()  # what is put first is sent first, also around the attachment
            #: What was put while there is no queue; None when there is one.
            self._early: Optional[list[Any]] = []
            if args or kwargs or base.__module__ != "queue":  # gevent may have put its own in there
                self._make_queue(*args, **kwargs)
            #: The native connection, once nothing waits for it here, and nobody counts what it is given.
            self.native: Any = None
            self._native: Any = None
            #: The same, for the rooms that its client is in.
            self.mailbox = _hangup.Mailbox()
            self.is_refused = False
            self._meter: Optional[Meter] = None
            self._make_event: Optional[Callable[[], Any]] = None
            self._room: Optional[HubRoom] = None
            self._when_filled: Optional[Callable[[bool], Any]] = None

        def __getattr__(self, name: str) -> Any:
            """Of a queue that is not made yet."""
            self._make_queue()
            return object.__getattribute__(self, name)

        def _make_queue(self, *args: Any, **kwargs: Any) -> None:
            with self._order:
                if self._early is None:
                    return
                super().__init__(*args, **kwargs)
                early, self._early = self._early, None
                for item in early:
                    super().put(item)

        @property
        def is_attached(self) -> bool:
            """Whether packets go to a native connection."""
            return self._native is not None

        def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
            with self._order:
                if self._native is not None:
                    self._send(item)
                else:
                    for one in item.packets if isinstance(item, Together) else [item]:
                        if self._early is None:
                            super().put(one, *args, **kwargs)  # unbounded: never waits
                        else:
                            self._early.append(one)
            self._tell()

        def attach(
            self,
            native: Any,
            meter: Optional[Meter] = None,
            make_event: Optional[Callable[[], Any]] = None,
        ) -> None:
            """From now on packets go to ``native``, those that wait first. A hub makes events to wait for."""
            with self._order:
                self._native, self._meter, self._make_event = native, meter, make_event
                for item in self._waiting():
                    # A NOOP should have ended a poll, which never came.
                    if item is None or item.packet_type != NOOP:
                        self._send(item)
                if meter is None:
                    self.native = native
                    self.mailbox.attach(native)
            self._tell()

        def _waiting(self) -> Any:
            if self._early is not None:
                early, self._early = self._early, []
                yield from early
                return
            while not self.empty():
                yield self.get(block=False)
                self.task_done()

        def refuse(self, reason: str) -> bool:
            """Closes the native connection, whose client broke the protocol. False if there is none yet."""
            with self._order:
                if self._native is None:
                    return False
                self.is_refused = True
                self._native.close(1002, reason)
            return True

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

        def wait_for_room(self) -> None:
            """Until the client has taken half of what waits for it, or is gone."""
            level = self._native.queued // 2
            if self._make_event is None:
                wait_in_thread(self._native, level)
                return
            if self._room is None:
                self._room = HubRoom(self._make_event())
            self._room.wait(self._native, level)

        def look(self) -> None:
            """There is the room that was waited for, or the native connection is over."""
            if self._room is not None:
                self._room.look()

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
                return
            if isinstance(packet, Together):
                if self._meter is None:
                    parts = [one.data for one in packet.packets]
                    _hangup.Message(parts, MESSAGE).send(self.mailbox, "close")
                else:  # nothing of this client's passes this by
                    for one in packet.packets:
                        self._send(one)
                return
            encoded = packet.encode()
            if self._meter is not None:
                self._meter("Out", len(encoded))
            self._native.send(encoded)

    return Outlet
