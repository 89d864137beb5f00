"""Answers a WebSocket handshake itself, on the raw socket, echoes one frame and returns an empty response.

Frameworks do this because WSGI has no way to say "upgraded"; ``start_response`` is never called.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def app(environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    """Upgrade, echo one masked text frame of less than 126 bytes, return nothing."""
    key = environ["HTTP_SEC_WEBSOCKET_KEY"]
    accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    sock = environ["gunicorn.socket"]
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )
    first, size = _exactly(sock, 2)
    mask = _exactly(sock, 4)
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(_exactly(sock, size & 0x7F)))
    sock.sendall(bytes([first, len(payload)]) + payload)
    return []


def _exactly(sock: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece: bytes = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("the client left during a frame")
        data += piece
    return data
