"""What is wrong outside of a service, so that a restart of it would not help."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from . import processes, sockets
from .signals import Fault
from .sockets import Address

#: Ports of what a service's environment names in its URLs. Not MySQL's: it bars a host that connects and says nothing.
_PORTS = {
    "redis": 6379, "rediss": 6379, "valkey": 6379, "postgres": 5432, "postgresql": 5432, "amqp": 5672, "amqps": 5671,
    "mongodb": 27017, "nats": 4222, "memcached": 11211,
}  # fmt: skip
_CONNECTS_WITHIN = 1.0
#: Bytes that have to be left.
_LEAST_SPACE = 1 << 20


class Need(NamedTuple):
    """Something that the application depends on; its URL's password is not kept."""

    name: str
    address: Address
    is_certain: bool


def needs_of(urls: Iterable[str], environment: dict[str, str]) -> list[Need]:
    """What was named, and what the environment of the service names.

    Raises:
        ValueError: one that was named is neither a URL with a host nor ``host:port``.
    """
    found = [_need(url, True) for url in urls]
    for name, value in environment.items():
        if name.endswith(("_URL", "_URI", "_DSN")) and urlsplit_scheme(value) in _PORTS:
            try:
                found.append(_need(value, False))
            except ValueError:
                continue
    return list({need.address: need for need in reversed(found)}.values())[::-1]


def urlsplit_scheme(url: str) -> str:
    """``redis`` of ``redis+socket://``, and so on."""
    return url.partition("://")[0].partition("+")[0] if "://" in url else ""


def _need(url: str, is_certain: bool) -> Need:
    if url.startswith("unix:"):
        return Need(url, url[len("unix:") :], is_certain)
    scheme = urlsplit_scheme(url)
    parts = urlsplit(url if scheme else f"//{url}")
    port = parts.port or _PORTS.get(scheme)
    if not parts.hostname or not port:
        raise ValueError(f"{url!r} is neither a URL of a known kind nor host:port")
    return Need(f"{scheme or 'tcp'}://{parts.hostname}:{port}", (parts.hostname, port), is_certain)


class Dependencies:
    """Whether what the application needs can be connected to."""

    def __init__(self, needs: Iterable[Need]) -> None:
        self._needs = list(needs)
        self._was_up: set[Address] = set()
        self._was_asked = False

    def faults(self, is_suspect: bool) -> tuple[Fault, ...]:
        """Those that cannot be. What was only guessed has to have been seen up before.

        Args:
            is_suspect: something seems wrong; otherwise nobody is asked, but for the first time: they may log it.
        """
        if not is_suspect and self._was_asked:
            return ()
        self._was_asked = True
        return tuple(fault for need in self._needs for fault in self._ask(need))

    def _ask(self, need: Need) -> Iterable[Fault]:
        try:
            _connect(need.address)
        except OSError as error:
            if need.is_certain or need.address in self._was_up:
                yield Fault("dependency", f"{need.name}: {error.strerror or error}")
        else:
            self._was_up.add(need.address)


def _connect(address: Address) -> None:
    if isinstance(address, str):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_CONNECTS_WITHIN)
            client.connect(address)
    else:
        socket.create_connection(address, _CONNECTS_WITHIN).close()


def full_disks(paths: Iterable[str]) -> tuple[Fault, ...]:
    """Of the file systems on which these paths are, those without space or inodes."""
    found = {}
    for path in paths:
        try:
            state, device = os.statvfs(path), os.stat(path).st_dev
        except OSError:
            continue
        if state.f_flag & os.ST_RDONLY:  # an image: it has no space by design
            continue
        if state.f_blocks and state.f_bavail * state.f_frsize < _LEAST_SPACE:
            found[device] = Fault("disk", f"{path}: no space is left on its file system")
        elif state.f_files and not state.f_favail:
            found[device] = Fault("disk", f"{path}: no inode is left on its file system")
    return tuple(found.values())


def taken_ports(ports: Iterable[int], family: set[int]) -> tuple[Fault, ...]:
    """Of these, those at which somebody else listens."""
    found = []
    for port in ports:
        pid = sockets.holder(port)
        if pid is None or pid in family:
            continue
        words = processes.command_line(pid) if pid else []
        who = (
            f"process {pid} ({os.path.basename(words[0]) if words else '?'})"
            if pid
            else "another user's process"
        )
        found.append(Fault("port", f"port {port} belongs to {who}"))
    return tuple(found)
