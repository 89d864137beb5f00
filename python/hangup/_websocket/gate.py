"""Requests of an Engine.IO server, before engineio sees them.

Promised
    A bad opening handshake does not make a session, and neither does one of a client that began too many
    (:mod:`hangup._connection_limit`). A second WebSocket of a session is closed, and the first one
    undisturbed. Polls do not take all threads of the server.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

from .. import _connection_limit, _hangup
from . import longpoll, takeover
from .engineio import CLOSE_LIMIT, MAX_QUEUED, UPGRADED


def gate(eio: Any) -> Callable[..., Any]:
    """Stands in for ``engineio.Server.handle_request``: a bad opening handshake does not make a session, and polls do
    not take all threads of the server.
    """
    stock = eio.handle_request

    @functools.wraps(stock)
    def handle_request(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        is_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        refused = takeover.refusal(environ) if is_websocket and "wsgi.websocket" not in environ else None
        if refused is None and begins_session(environ):
            refused = _connection_limit.refusal(environ)
        if refused is not None:
            status, headers, body = refused
            start_response(status, headers)
            return [body]
        if is_websocket and "wsgi.websocket" not in environ:
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


def begins_session(environ: dict[str, Any]) -> bool:
    """Whether Engine.IO makes a session for this request: it names none."""
    return environ.get("REQUEST_METHOD") == "GET" and not longpoll.sid_of(environ)


class Input:
    """As what ``engineio.WSGIApp`` makes of gunicorn's socket, for eventlet."""

    __slots__ = ("socket",)

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def get_socket(self) -> Any:
        return self.socket


def middleware(stock: Any) -> Any:
    """Stands in for ``engineio.WSGIApp.__call__``, which makes a class for each request under gunicorn."""

    @functools.wraps(stock)
    def __call__(self: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path, socket = environ.get("PATH_INFO"), environ.get("gunicorn.socket")
        if socket is None or not path or not path.startswith(self.engineio_path):
            return stock(self, environ, start_response)
        environ["eventlet.input"] = Input(socket)
        return self.engineio_app.handle_request(environ, start_response)

    return __call__


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
    second.close(1002, UPGRADED)
    on_end = environ.get("hangup.on_websocket_end")
    if on_end is not None:
        on_end(1002, 0, 0, "violation")
    takeover.trim(environ)
    environ["hangup.ended"] = takeover.Ended(taken.sink)
    return ()
