"""The TCP sockets of any process, as the kernel has them (sock_diag(7)): nothing is asked of the process.

Not promised
    Sockets of another network namespace than ours; what others' processes have, unless we are root.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

_NETLINK_SOCK_DIAG, _BY_FAMILY, _DONE, _ERROR = 4, 20, 3, 2
_REQUEST_AND_DUMP = 0x301
_INET_DIAG_INFO = 2
#: ``struct nlmsghdr``; ``struct inet_diag_req_v2`` without the socket's own part; ``struct rtattr``.
_HEADER, _REQUEST, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBxI48x"), struct.Struct("=HH")
#: ``struct inet_diag_msg``: family, state, ports, addresses, queues, user, inode.
_MESSAGE = struct.Struct("=BBxx2s2s16s16s12xIIIII")
#: In the order of the kernel's numbers, in lower case as ``ss`` names them.
STATES = (
    "unknown", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close",
    "close_wait", "last_ack", "listen", "closing",
)  # fmt: skip
#: All but TIME_WAIT and SYN_RECV, which nobody holds a descriptor of.
_HELD = 0xFFF & ~(1 << 6) & ~(1 << 3)
#: Of ``struct tcp_info``: milliseconds since data and an acknowledgement came, round trip in microseconds, bytes.
_UNACKED, _LAST_HEARD, _RTT, _BYTES, _NOTSENT = 24, 52, 68, 120, 144


class Tcp(NamedTuple):
    """A TCP socket. See :class:`hangup.fds.Tcp`; bytes are the kernel's count."""

    fd: int
    state: str
    local: str
    remote: str
    queued: int
    unread: int
    rtt: Optional[float]
    unacked: Optional[int]
    notsent: Optional[int]
    silent: Optional[float]
    received: Optional[int]
    sent: Optional[int]


def inodes_of(pid: int) -> dict[int, int]:
    """The descriptors of a process that are sockets, by inode.

    Raises:
        OSError: there is no such process, or it may not be looked into.
    """
    found = {}
    directory = f"/proc/{pid}/fd"
    for entry in os.listdir(directory):
        try:
            target = os.readlink(f"{directory}/{entry}")
        except OSError:
            continue  # closed since
        if target.startswith("socket:["):
            found[int(target[8:-1])] = int(entry)
    return found


def of(pid: int) -> list[Tcp]:
    """The TCP sockets of a process, in the order of their descriptors.

    Raises:
        OSError: there is no such process, or it may not be looked into.
    """
    inodes = inodes_of(pid)
    rows = [row for family in (socket.AF_INET, socket.AF_INET6) for row in _dump(family, inodes)]
    return sorted(rows)


def _dump(family: int, inodes: dict[int, int]) -> Iterator[Tcp]:
    if not inodes:
        return
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), _HELD)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(2.0)
        header = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_AND_DUMP, 0, 0)
        sock.sendto(header + body, (0, 0))
        while True:
            data = sock.recv(1 << 18)
            place = 0
            while place + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, place)
                if kind in (_DONE, _ERROR) or length < _HEADER.size:
                    return
                row = _read(data[place + _HEADER.size : place + length], inodes)
                if row is not None:
                    yield row
                place += (length + 3) & ~3


def _read(message: bytes, inodes: dict[int, int]) -> Optional[Tcp]:
    family, state, sport, dport, source, target, _expires, rqueue, wqueue, _uid, inode = _MESSAGE.unpack_from(
        message
    )
    fd = inodes.get(inode)
    if fd is None or inode == 0:
        return None
    name = STATES[state] if state < len(STATES) else STATES[0]
    local, remote = _written(family, source, sport), _written(family, target, dport)
    known = (None,) * 6 if name == "listen" else _figures(message[_MESSAGE.size :])
    return Tcp(fd, name, local, remote, wqueue, rqueue, *known)


def _written(family: int, address: bytes, port: bytes) -> str:
    number = int.from_bytes(port, "big")
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(socket.AF_INET, address[:4])}:{number}"
    return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{number}"


def _figures(attributes: bytes) -> tuple[Any, ...]:
    """rtt, unacked, notsent, silent, received, sent: as far as this kernel has them."""
    place = 0
    while place + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, place)
        if length < _ATTRIBUTE.size:
            break
        if kind == _INET_DIAG_INFO:
            info = attributes[place + _ATTRIBUTE.size : place + length].ljust(256, b"\0")
            (unacked,) = struct.unpack_from("=I", info, _UNACKED)
            data, acknowledgement = struct.unpack_from("=II", info, _LAST_HEARD)
            (rtt,) = struct.unpack_from("=I", info, _RTT)
            sent, received = struct.unpack_from("=QQ", info, _BYTES)
            (notsent,) = struct.unpack_from("=I", info, _NOTSENT)
            return rtt / 1e6, unacked, notsent, min(data, acknowledgement) / 1e3, received, sent
        place += (length + 3) & ~3
    return (None,) * 6
