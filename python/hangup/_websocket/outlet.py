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

#: Engine.IO's packet that ends a poll.
NOOP = 6

#: Is told of packets: ``In`` or ``Out``, and the length.
Meter = Callable[[str, int], None]


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
                elif self._early is not None:
                    self._early.append(item)
                else:
                    super().put(item, *args, **kwargs)  # unbounded: never waits
            self._tell()

        def attach(self, native: Any, meter: Optional[Meter] = None) -> None:
            """From now on packets go to ``native``, those that wait first."""
            with self._order:
                self._native, self._meter = native, meter
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
            encoded = packet.encode()
            if self._meter is not None:
                self._meter("Out", len(encoded))
            self._native.send(encoded)

    return Outlet
