"""Since when the clients of a TCP port have been silent, as the kernel knows: see sock_diag(7).

The application is not asked, so that it works for any server; what came through a proxy is the proxy's connection.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_INFO = 2
_ESTABLISHED = 1 << 1
#: ``struct nlmsghdr``, ``inet_diag_req_v2`` up to its id, and that id, which asks for all.
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI48x")
_MESSAGE = 72
_ATTRIBUTE = struct.Struct("=HH")
#: Where ``tcpi_last_data_recv`` and ``tcpi_last_ack_recv`` are in ``struct tcp_info``: milliseconds.
_LAST_RECEIVED = struct.Struct("=52xII")


def silences(ports: Iterable[int]) -> dict[int, float]:
    """Seconds since anything was heard of the client, by inode, of the connections that were made to these ports.

    Empty where the kernel does not tell.
    """
    wanted = set(ports)
    found: dict[int, float] = {}
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        ) as asked:
            asked.settimeout(2.0)
            for family in (socket.AF_INET, socket.AF_INET6):
                for message in _dump(asked, family):
                    _take(message, wanted, found)
    except OSError:
        return found
    return found


def _dump(asked: socket.socket, family: int) -> Iterator[bytes]:
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ESTABLISHED)
    size = _HEADER.size + len(question)
    asked.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
    while True:
        received = asked.recv(1 << 18)
        offset = 0
        while offset + _HEADER.size <= len(received):
            length, kind, _, _, _ = _HEADER.unpack_from(received, offset)
            if kind in (_DONE, _ERROR) or length < _HEADER.size:
                return
            yield received[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _take(message: bytes, wanted: set[int], found: dict[int, float]) -> None:
    if len(message) < _MESSAGE or int.from_bytes(message[4:6], "big") not in wanted:
        return
    (inode,) = struct.unpack_from("=I", message, _MESSAGE - 4)
    offset = _MESSAGE
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            return
        value = message[offset + _ATTRIBUTE.size : offset + length]
        if kind == _INFO and len(value) >= _LAST_RECEIVED.size:
            found[inode] = min(_LAST_RECEIVED.unpack_from(value)) / 1000
        offset += (length + 3) & ~3
