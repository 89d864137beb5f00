"""What a native WebSocket is to those who send to many."""

from __future__ import annotations

from typing import Any

from .. import _hangup

#: Where it is in an ASGI scope: among the extensions, which frameworks leave as they are.
EXTENSION = "hangup.websocket"


class Member:
    """A WebSocket that may be in groups, from before it is accepted."""

    __slots__ = ("mailbox", "native")

    def __init__(self) -> None:
        self.mailbox = _hangup.Mailbox()
        #: The native connection, once there is one.
        self.native: Any = None

    def attach(self, native: Any) -> None:
        """It is accepted."""
        self.native = native
        self.mailbox.attach(native)
