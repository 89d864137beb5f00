"""What flask-sock hands to its handlers, on the native transport.

Promised
    The attributes and exceptions of ``simple_websocket.Server`` that flask-sock and its handlers use. Frames are
    whole, whoever sends; there is no second thread per client.

Not promised
    The options ``receive_bytes``, ``thread_class``, ``event_class`` and ``selector_class``, which have nothing to
    choose here. A ``ping_interval`` keeps the stock server.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Union

from .plain import Closed, Refused, WebSocket
from .takeover import Declined


class Server:
    """Duck-types ``simple_websocket.Server``."""

    def __init__(self, websocket: WebSocket, environ: dict[str, Any]) -> None:
        self._websocket = websocket
        self.environ = environ
        self.subprotocol = websocket.subprotocol
        modes = {"werkzeug.socket": "werkzeug", "gunicorn.socket": "gunicorn", "eventlet.input": "eventlet"}
        self.mode = next((mode for key, mode in modes.items() if key in environ), "gevent")

    @property
    def connected(self) -> bool:
        return self._websocket.connected

    def send(self, data: Union[str, bytes]) -> None:
        """Sends a message. ``ConnectionClosed`` if the WebSocket is closed."""
        self._translated(self._websocket.send, data)

    def receive(self, timeout: Optional[float] = None) -> Union[str, bytes, None]:
        """The next message; None after ``timeout`` seconds. ``ConnectionClosed`` if the WebSocket is closed."""
        received: Union[str, bytes, None] = self._translated(self._websocket.receive, timeout)
        return received

    def close(self, reason: Optional[int] = None, message: Optional[str] = None) -> None:
        """Begins the close handshake. ``ConnectionClosed`` if the WebSocket is closed."""
        if not self.connected:
            raise _connection_closed(1000, "")
        self._websocket.close(reason or 1000, message or "")

    def _translated(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except Closed as closed:
            raise _connection_closed(closed.code, closed.reason) from closed


def _connection_closed(code: int, reason: str) -> Exception:
    import simple_websocket

    error: Exception = simple_websocket.ConnectionClosed(code, reason or None)
    return error


def server(stock: Any) -> Callable[..., Any]:
    """Stands in for ``flask_sock.Server``, and leaves to ``stock`` what cannot be served natively."""

    @functools.wraps(stock, updated=())
    def make(
        environ: dict[str, Any],
        subprotocols: Union[str, list[str], None] = None,
        ping_interval: Optional[float] = None,
        max_message_size: Optional[int] = None,
        **options: Any,
    ) -> Any:
        spoken = (subprotocols,) if isinstance(subprotocols, str) else tuple(subprotocols or ())
        limit = {} if max_message_size is None else {"max_message_size": max_message_size}
        try:
            native = WebSocket(environ, subprotocols=spoken, ping_interval=ping_interval, **limit)
            return Server(native, environ)
        except Declined:
            return stock(
                environ,
                subprotocols=subprotocols,
                ping_interval=ping_interval,
                max_message_size=max_message_size,
                **options,
            )
        except Refused as refused:
            from werkzeug.exceptions import HTTPException
            from werkzeug.wrappers import Response

            status, headers, body = refused.response
            raise HTTPException(response=Response(body, status, headers)) from None

    return make
