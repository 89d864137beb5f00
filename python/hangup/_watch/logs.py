"""What the service's logs say, as they grow: how many errors, and whose.

Not promised: what was written before the watch began, and more than a megabyte from one look to the next.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple, Optional

from .families import Errors, errors

_MOST_READ = 1 << 20
_MOST_FILES = 4
#: What a line says if something outside is broken.
_OUTSIDE = {
    "disk": re.compile(rb"No space left on device|Disk quota exceeded"),
    "dependency": re.compile(
        rb"^(?:redis|aioredis|valkey)\.exceptions\.\w*(?:Connection|Timeout|BusyLoading)\w*"
        rb"|^psycopg2?\.OperationalError|^django\.db\.utils\.OperationalError|^pymongo\.errors\.\w*(?:Timeout|Reconnect)"
        rb"|^(?:kombu|amqp|pika)\.exceptions\.\w*(?:Connection|Operational|AMQP)\w*|^pymysql\.err\.OperationalError"
        rb"|^sqlalchemy\.exc\.OperationalError",
        re.MULTILINE,
    ),
}
_APPENDS = os.O_APPEND | os.O_WRONLY


class Said(NamedTuple):
    """What was new in the logs.

    Attributes:
        errors: those that are not clients' noise.
        outside: by kind, the first line that says that something outside is broken.
    """

    errors: Errors
    outside: dict[str, str]


class Tail:
    """A file that grows, and may be rotated or shortened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: Optional[tuple[int, int]] = None
        self._offset = 0

    def new(self) -> bytes:
        """What was written since the last time; the first time, nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return self._read(descriptor)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int) -> bytes:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return b""
        identity = (state.st_dev, state.st_ino)
        if identity != self._file:
            self._offset = state.st_size if self._file is None else 0
            self._file = identity
        self._offset = min(self._offset, state.st_size)
        self._offset = max(self._offset, state.st_size - _MOST_READ)
        data = os.pread(descriptor, _MOST_READ, self._offset)
        self._offset += len(data)
        return data


def judge(data: bytes) -> Said:
    """What a piece of a log says."""
    outside = {}
    for kind, pattern in _OUTSIDE.items():
        found = pattern.search(data)
        if found is not None:
            end = data.find(b"\n", found.start())
            line = data[found.start() : end if end >= 0 else None]
            outside[kind] = line[:200].decode("utf-8", "replace")
    return Said(errors(data) if data else Errors(0), outside)


def files_of(pid: int, held: dict[int, str]) -> list[str]:
    """The logs that a process writes: what it has open to append to, and its standard error if that is a file."""
    found = []
    for number, path in sorted(held.items()):
        if not path.startswith("/") or path.startswith(("/dev/", "/proc/")) or path.endswith(" (deleted)"):
            continue
        if number in (1, 2) or _appends(pid, number):
            found.append(path)
    return list(dict.fromkeys(found))[:_MOST_FILES]


def _appends(pid: int, number: int) -> bool:
    from . import processes

    for line in processes.read(f"/proc/{pid}/fdinfo/{number}").splitlines():
        name, _, value = line.partition(":")
        if name == "flags":
            return int(value, 8) & (_APPENDS | os.O_RDWR) == _APPENDS
    return False
