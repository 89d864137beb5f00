"""Leaving a WSGI server with its connection, after the upgrade request.

Promised
    The handshake is judged before anything is written (RFC 6455 section 4.2.1); a bad one gets an HTTP response
    through the server. What the client sent behind its request is not lost. The server ends the request
    as usual, on a connection that is no longer there.

How
    A guarded connection is detached: its server keeps an inert face. Under any other server the
    descriptor is duplicated, and its number made one end of a socket pair, whose other end takes what the server
    still writes.

Not promised
    TLS connections, servers that answer the handshake themselves or keep their socket to themselves:
    :class:`Declined`.
"""

from __future__ import annotations

import base64
import binascii
import os
import socket
import ssl
from typing import Any, Callable, NamedTuple, Optional

from .. import _hangup
from .._socket import SafeSocket

StartResponse = Callable[..., Any]
Response = tuple[str, list[tuple[str, str]], bytes]

#: Taken out of the application's environ, which frameworks keep for as long as the client stays.
NOT_KEPT = (
    "werkzeug.socket",
    "gunicorn.socket",
    "gunicorn.sock",
    "eventlet.input",
    "wsgi.input",
    "wsgi.early_hints",  # of gunicorn since 25: has the request, its buffers and the response
)


class Declined(Exception):
    """This connection cannot leave its server; the message says why."""


class Taken(NamedTuple):
    """A connection that left its server.

    Attributes:
        fd: its descriptor, owned by whoever has this.
        early: what was read beyond the request.
        sink: takes what the server still writes, until it is closed; None if the server cannot.
    """

    fd: int
    early: bytes
    sink: Optional[socket.socket]


class Ended:
    """An empty response body. Closing it lets go of the connection's remains."""

    def __init__(self, sink: Optional[socket.socket]) -> None:
        self._sink = sink

    @property
    def is_awaited(self) -> bool:
        """Whether the server writes a response, to the sink."""
        return self._sink is not None

    def __iter__(self) -> Any:
        return iter(())

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


def refusal(environ: dict[str, Any]) -> Optional[Response]:
    """The response to a bad opening handshake, None to a good one."""
    # eventlet.wsgi calls every request HTTP/1.0; under gunicorn it is engineio that names its input.
    is_eventlet = "eventlet.input" in environ and "gunicorn.socket" not in environ
    too_old = environ.get("SERVER_PROTOCOL", "HTTP/1.1") < "HTTP/1.1" and not is_eventlet
    if environ.get("REQUEST_METHOD") != "GET" or too_old:
        return bad_request("a WebSocket begins with GET and HTTP/1.1")
    if "websocket" not in _tokens(environ, "HTTP_UPGRADE"):
        return bad_request("Upgrade: websocket is missing")
    if "upgrade" not in _tokens(environ, "HTTP_CONNECTION"):
        return bad_request("Connection: Upgrade is missing")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        status, headers, body = _error("426 Upgrade Required", "only version 13 is spoken")
        return status, [*headers, ("Sec-WebSocket-Version", "13")], body
    try:
        key = base64.b64decode(environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return bad_request("Sec-WebSocket-Key must be 16 bytes in base64")
    return None


def take(environ: dict[str, Any], subprotocol: Optional[str] = None, *, more: bool = False) -> Taken:
    """Answers a good handshake, and takes the connection.

    Args:
        environ: of the request.
        subprotocol: chosen by the application.
        more: something is sent at once behind the response: it leaves with that.

    Raises:
        Declined: nothing was written, and the server goes on as if nothing had happened.
        OSError: the client has left.
    """
    if "wsgi.websocket" in environ:
        raise Declined("the server answered the handshake itself (gevent-websocket)")
    sock = _free_socket(environ)
    early = _read_ahead(environ, sock)
    head = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_hangup.accept_key(environ['HTTP_SEC_WEBSOCKET_KEY'].strip())}",
    ]
    if subprotocol is not None:
        head.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    sock.sendall("\r\n".join([*head, "", ""]).encode("latin-1"), socket.MSG_MORE if more else 0)
    return _take(environ, sock, early)


def leave(environ: dict[str, Any]) -> Taken:
    """Takes the connection of a request that is answered later, by whoever has it then.

    Raises:
        Declined: nothing was done, and the server goes on as if nothing had happened.
    """
    sock = _free_socket(environ)
    return _take(environ, sock, _read_ahead(environ, sock))


def ahead(environ: dict[str, Any]) -> tuple[Any, bytes]:
    """A request's connection, and what was read beyond its head.

    Raises:
        Declined: it cannot leave its server.
    """
    sock = _free_socket(environ)
    return sock, _read_ahead(environ, sock)


def _free_socket(environ: dict[str, Any]) -> Any:
    sock = socket_of(environ)
    if isinstance(sock, ssl.SSLSocket) or hasattr(sock, "getpeercert"):
        raise Declined("TLS connections stay with their server")
    return sock


def _take(environ: dict[str, Any], sock: Any, early: bytes) -> Taken:
    environ["hangup.taken"] = True
    if isinstance(sock, SafeSocket):
        return Taken(sock.detach(), early, None)
    return _leave_a_dummy(sock, early)


def _leave_a_dummy(sock: Any, early: bytes) -> Taken:
    dummy, sink = socket.socketpair()
    with dummy:
        try:
            number = sock.fileno()
            os.set_blocking(dummy.fileno(), os.get_blocking(number))  # or the next read stops a hub
            fd = os.dup(number)
            os.dup2(dummy.fileno(), number, inheritable=False)
        except OSError:
            sink.close()
            raise
    return Taken(fd, early, sink)


def trim(environ: dict[str, Any]) -> None:
    """Takes out of an environ what refers to the connection."""
    for key in NOT_KEPT:
        environ.pop(key, None)


def bad_request(reason: str) -> Response:
    """A response that ends a bad handshake."""
    return _error("400 Bad Request", reason)


def _error(status: str, reason: str) -> Response:
    body = reason.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return status, headers, body


def _tokens(environ: dict[str, Any], name: str) -> set[str]:
    return {token.strip().lower() for token in environ.get(name, "").split(",")}


def socket_of(environ: dict[str, Any]) -> Any:
    for key in ("gunicorn.socket", "gunicorn.sock", "werkzeug.socket"):
        if key in environ:
            return environ[key]
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket()
    raw = getattr(_stream_of(environ), "raw", None)
    sock = getattr(raw, "_sock", None)
    if sock is None:
        raise Declined(f"{environ.get('SERVER_SOFTWARE') or 'this server'} does not give its socket")
    return sock


def _stream_of(environ: dict[str, Any]) -> Any:
    stream = environ.get("wsgi.input")
    return getattr(stream, "rfile", stream)  # pywsgi


def _read_ahead(environ: dict[str, Any], sock: Any) -> bytes:
    """What the server read behind the request's head: frames that the client did not wait to send."""
    stream = _stream_of(environ)
    unreader = getattr(getattr(stream, "reader", None), "unreader", None)  # gunicorn
    if unreader is not None:
        ahead: bytes = unreader.buf.getvalue()
        return ahead
    if not hasattr(stream, "peek"):
        return b""
    timeout = sock.gettimeout()
    sock.settimeout(0)  # peek() of an empty buffer reads from the connection
    try:
        return bytes(stream.peek())
    except (BlockingIOError, TimeoutError):
        return b""
    finally:
        sock.settimeout(timeout)
