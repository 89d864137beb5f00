"""Messages on a control socket: four bytes of length, in network order, and as many of JSON.

A question is one message: ``{"verb": str, "arguments": {}}``. An answer is any number of messages with a list of rows
under ``rows``, and a last one with ``result``, or with ``error`` and ``message``.
"""

from __future__ import annotations

import _socket  # not socket, which hubs patch
import json
import struct
import time
from typing import Any

#: Bytes of a question, and of each message of an answer.
LARGEST_QUESTION, LARGEST_ANSWER = 64 * 1024, 4 * 1024 * 1024
#: Seconds in which a question must have come, and an answer be taken.
PATIENCE = 1.0
#: Of an abstract name; behind it are the process's number and something random.
PREFIX = "hangup/control/"

_LENGTH = struct.Struct("!I")
_PEER = struct.Struct("3i")


class Unreadable(Exception):
    """What came is no message."""


def send(sock: Any, message: dict[str, Any], deadline: float) -> None:
    """Sends a message, until ``deadline`` (``time.monotonic()``).

    Raises:
        TimeoutError, OSError: the peer does not take it.
    """
    body = json.dumps(message, allow_nan=False).encode("ascii")
    _wait_until(sock, deadline)
    sock.sendall(_LENGTH.pack(len(body)) + body)


def receive(sock: Any, largest: int, deadline: float) -> dict[str, Any]:
    """The next message.

    Raises:
        Unreadable: it is too long, ends early, or is no JSON object.
        TimeoutError, OSError: it does not come.
    """
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size, deadline))
    if length > largest:
        raise Unreadable(f"a message of {length} bytes, of which {largest} are allowed")
    try:
        message = json.loads(_exactly(sock, length, deadline))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Unreadable("not an object")
    return message


def _exactly(sock: Any, size: int, deadline: float) -> bytes:
    pieces = []
    while size:
        _wait_until(sock, deadline)
        piece = sock.recv(min(size, 256 * 1024))
        if not piece:
            raise Unreadable("it ended early")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _wait_until(sock: Any, deadline: float) -> None:
    sock.settimeout(max(deadline - time.monotonic(), 0.001))  # 0 would be "without waiting"


def peer(sock: Any) -> tuple[int, int]:
    """The number and the user of the process at the other end, as the kernel says (unix(7), SO_PEERCRED)."""
    pid, uid, _gid = _PEER.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER.size))
    return pid, uid
