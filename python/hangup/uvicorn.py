"""uvicorn's WebSockets on the native transport::

    uvicorn --ws hangup.uvicorn:WebSocketProtocol app:app

Promised
    The application, and uvicorn, see what uvicorn's own implementations show them. The connection leaves the loop after
    its handshake: frames, pings, deadlines and the close handshake cost the loop nothing.

Not promised
    permessage-deflate is not negotiated, whatever ``--ws-per-message-deflate`` says. TLS connections keep uvicorn's
    own implementation: :func:`hangup.status` says so.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import __version__
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

from . import _connection_limit, _mode, _status
from ._websocket.asgi import NativeProtocol

__all__ = ["WebSocketProtocol"]

_connection_limit.configure()


class WebSocketProtocol:
    """Serves one connection natively, or by uvicorn's own implementation where it cannot leave its transport."""

    def __init__(self, **state: Any) -> None:
        self._state = state

    def connection_made(self, transport: asyncio.Transport) -> None:
        """asyncio's. From here on, everything is asked of the implementation."""
        reason = _objection(transport)
        _status.record("uvicorn", state="stock" if reason else "on", reason=reason, version=__version__)
        implementation = AutoWebSocketsProtocol if reason else NativeProtocol
        if implementation is None:
            raise RuntimeError(f"{reason}, and uvicorn finds neither websockets nor wsproto to serve it with")
        self._serving = implementation(**self._state)
        self._serving.connection_made(transport)

    def __getattr__(self, name: str) -> Any:
        if name == "_serving":
            raise AttributeError(name)  # before the connection is made
        return getattr(self._serving, name)


def _objection(transport: asyncio.Transport) -> str:
    mode = _mode.mode()
    if mode != _mode.ON:
        return f"HANGUP={mode}"
    if transport.get_extra_info("ssl_object") is not None:
        return "TLS connections stay with uvicorn"
    if transport.get_extra_info("socket") is None:
        return "its transport has no socket"
    return ""
