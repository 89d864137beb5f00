"""Clients of the capture and of the storms: they make a server log, and leave."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from typing import Optional

from hangup.testing import StalledReader, connect, reset

HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def get(port: int, path: str, timeout: float = 10) -> bytes:
    """The whole answer, or what there was of it."""
    received = b""
    with connect(("127.0.0.1", port), timeout=timeout) as client, contextlib.suppress(OSError):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while more := client.recv(65536):
            received += more
    return received


def stall(port: int, path: str = "/endless") -> None:
    """Takes nothing until the kernel gives the connection up."""
    with StalledReader(("127.0.0.1", port)) as client:
        client.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(1.5)


def reset_in_head(port: int) -> None:
    client = connect(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.3)  # for it to be read: a reset throws away what is not
    reset(client)


def reset_in_response(port: int, path: str = "/endless") -> None:
    client = connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    with contextlib.suppress(OSError):
        client.recv(4096)
    reset(client)


def reset_while_reading(port: int, path: str = "/endless") -> None:
    """Nothing waits on the way: the next write is the one that fails."""
    client = connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    left = 200_000
    with contextlib.suppress(OSError):
        while left > 0:
            left -= len(client.recv(65536))
    reset(client)


def abort_upload(port: int, path: str, *, abruptly: bool, kind: str = "application/octet-stream") -> None:
    client = connect(("127.0.0.1", port))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 1000)
    time.sleep(0.3)  # for it to be read: a reset throws away what is not
    reset(client) if abruptly else client.close()


def websocket(port: int, path: str, *, leave: str, after: float = 0.2) -> None:
    """Opens a WebSocket and leaves it: ``reset``, ``fin`` or ``close`` (a frame)."""
    client = connect(("127.0.0.1", port), rcvbuf=4096)
    client.sendall(HANDSHAKE.format(path).encode())
    with contextlib.suppress(OSError):
        client.recv(4096)
        time.sleep(after)
        if leave == "close":
            client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
            time.sleep(0.2)
    reset(client) if leave == "reset" else client.close()


def begin_polling(port: int) -> str:
    """The sid of an Engine.IO session with a Socket.IO one in it."""
    answer = get(port, "/socket.io/?EIO=4&transport=polling")
    found = re.search(rb'"sid":"([^"]+)"', answer)
    assert found, answer
    sid = found.group(1).decode()
    post(port, sid, b"40")
    get(port, f"/socket.io/?EIO=4&transport=polling&sid={sid}")
    return sid


def post(port: int, sid: str, packet: bytes, *, length: Optional[int] = None, abruptly: bool = False) -> None:
    head = (
        f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {length or len(packet)}\r\n\r\n"
    )
    client = connect(("127.0.0.1", port))
    client.sendall(head.encode() + packet)
    if length is not None:
        time.sleep(0.3)
        reset(client) if abruptly else client.close()
        return
    with client, contextlib.suppress(OSError):
        while client.recv(65536):
            pass


def event(*arguments: object) -> bytes:
    return b"42" + json.dumps(arguments).encode()


def masked(text: bytes) -> bytes:
    """One small text frame."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


def socketio_over_websocket(port: int, *, leave: str) -> None:
    client = connect(("127.0.0.1", port))
    client.sendall(HANDSHAKE.format("/socket.io/?EIO=4&transport=websocket").encode())
    with contextlib.suppress(OSError, socket.timeout):
        client.recv(4096)
        client.sendall(masked(b"40"))
        client.recv(4096)
        if leave == "close":
            client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    reset(client) if leave == "reset" else client.close()


__all__ = [name for name in dir() if not name.startswith("_") and name != "base64"]
