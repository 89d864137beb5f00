"""A WebSocket client of a few lines, for what proper clients do not send."""

from __future__ import annotations

import contextlib
import socket
import struct
from http.client import HTTPResponse
from typing import Optional

from hangup.testing import connect

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A client's, masked with zeros."""
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return header + bytes(4) + payload


def begin_session(port: int, receive_buffer: Optional[int] = None) -> socket.socket:
    """A connected Socket.IO session."""
    client = connect(("127.0.0.1", port), rcvbuf=receive_buffer, timeout=20)
    try:
        client.sendall(REQUEST)
        until(client, b"}", after=b"0{")  # stock loses what is sent before
        client.sendall(frame(b"40"))
        until(client, b"}", after=b"40{")
    except BaseException:
        client.close()
        raise
    return client


def until(client: socket.socket, wanted: bytes, after: bytes = b"") -> bytes:
    """Reads up to what contains ``wanted`` (behind ``after``)."""
    received = bytearray()
    while wanted not in received.partition(after)[2] if after else wanted not in received:
        more = client.recv(65_536)
        assert more, bytes(received[-1_000:])
        received += more
    return bytes(received)


def close_code(client: socket.socket) -> int:
    """Reads frames up to the close frame, and answers it."""
    with client.makefile("rb") as stream:
        while True:
            first, length = stream.read(2)
            if length == 126:
                (length,) = struct.unpack("!H", stream.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", stream.read(8))
            payload = stream.read(length)
            if first == 0x88:
                client.sendall(frame(payload[:2], 8))
                return int.from_bytes(payload[:2], "big")


def answer(client: socket.socket) -> bytes:
    """The body of the next HTTP response."""
    with contextlib.closing(HTTPResponse(client)) as response:
        response.begin()
        return response.read()
