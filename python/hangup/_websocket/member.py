"""What a native WebSocket is to those who send to many."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

from .. import _hangup
from .room import wait_in_thread

#: Where it is in an ASGI scope: among the extensions, which frameworks leave as they are.
EXTENSION = "hangup.websocket"


class Member:
    """A WebSocket that may be in groups, from before it is accepted."""

    __slots__ = ("__weakref__", "_is_refused", "_wait", "mailbox", "native", "pings")

    def __init__(self) -> None:
        self.mailbox = _hangup.Mailbox()
        #: The native connection, once there is one.
        self.native: Any = None
        #: Interval and timeout, instead of the server's.
        self.pings: Optional[tuple[float, float]] = None
        self._is_refused = False

    def attach(self, native: Any, wait: Callable[[Any, int], None] = wait_in_thread) -> None:
        """It is accepted; ``wait`` is for room, see :mod:`.room`."""
        self.native = native
        self._wait = wait
        self.mailbox.attach(native)

    def ping_every(self, interval: float, timeout: float) -> None:
        """Once it is accepted."""
        self.pings = interval, timeout

    def refuse(self) -> None:
        """It will not be accepted: the application does not want it, or the client left before."""
        self._is_refused = True

    def wait_for_room(self) -> None:
        """Until the client has taken half of what waits for it, or is gone."""
        self._wait(self.native, self.native.queued // 2)

    @property
    def quiet(self) -> float:
        """Seconds since a message was last broadcast to it, or since this was first asked."""
        return math.inf if self.native is None else float(self.native.quiet)

    @property
    def is_over(self) -> bool:
        """The connection has ended, or will never be one."""
        return self._is_refused if self.native is None else self.native.ending is not None
