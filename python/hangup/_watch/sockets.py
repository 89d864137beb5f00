"""Who listens where, as the kernel tells: for the network namespace of a process."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple, Optional, Union

from . import processes

#: A host and a port, or the path of a Unix socket.
Address = Union[tuple[str, int], str]

_LISTENS = "0A"
_ACCEPTS = 0x10000  # __SO_ACCEPTCON


class Listener(NamedTuple):
    """A socket that listens."""

    address: Address
    inode: int


def tcp_listeners(pid: Union[int, str] = "self") -> list[Listener]:
    """All TCP sockets that listen in a process's namespace."""
    found = []
    for name in ("tcp", "tcp6"):
        for line in processes.read(f"/proc/{pid}/net/{name}").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENS:
                found.append(Listener(_address(fields[1]), int(fields[9])))
    return found


def unix_sockets(pid: Union[int, str] = "self") -> list[tuple[str, int, bool]]:
    """All Unix sockets that have a path: the path, the inode, and whether it listens."""
    found = []
    for line in processes.read(f"/proc/{pid}/net/unix").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8:
            found.append((fields[7], int(fields[6]), bool(int(fields[3], 16) & _ACCEPTS)))
    return found


def listeners_of(pid: int, held: dict[int, str]) -> list[Listener]:
    """Where a process listens: TCP first, then Unix sockets, without those that are for control."""
    own = processes.inodes(held)
    found = [one for one in tcp_listeners(pid) if one.inode in own]
    for path, inode, listens in unix_sockets(pid):
        if listens and inode in own and not path.endswith(".ctl") and "hangup" not in path:
            found.append(Listener(path, inode))
    return found


def holder(port: int) -> Optional[int]:
    """The process that listens at a TCP port; None if there is none; 0 if it may not be known."""
    wanted = _inodes_at(port)
    for pid in processes.pids() if wanted else ():
        if wanted & processes.inodes(processes.descriptors(pid)):
            return pid
    return 0 if wanted & _inodes_at(port) else None


def _inodes_at(port: int) -> set[int]:
    return {one.inode for one in tcp_listeners() if one.address[1] == port}


def _address(text: str) -> tuple[str, int]:
    """As /proc writes it: words of four octets in the order of the machine."""
    octets, _, port = text.partition(":")
    words = struct.unpack(f">{len(octets) // 8}I", bytes.fromhex(octets))
    packed = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)


def reachable(address: Address) -> Address:
    """How to connect to it from here: an address that stands for all is the loopback's."""
    if isinstance(address, str):
        return address
    host, port = address
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
