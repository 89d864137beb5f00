"""gunicorn's processes, as ``/proc`` has them.

Not promised
    A process may end while it is looked at: then it is not there. Whose descriptors may not be looked at has ``open``
    None.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .. import _procfs

_TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One process.

    Attributes:
        pid: its number.
        parent: its parent's.
        state: one letter, see proc(5).
        uid: its user.
        title: its command line.
        unit: of systemd, ``app.service``; empty if it is in none.
        age: seconds since it began.
        cpu: seconds that it had of processors.
        rss: bytes of memory.
        threads: how many.
        open: descriptors; None if they may not be looked at.
        limit: ``RLIMIT_NOFILE``; None the same.
    """

    pid: int
    parent: int
    state: str
    uid: int
    title: str
    unit: str
    age: float
    cpu: float
    rss: int
    threads: int
    open: Optional[int]
    limit: Optional[int]


def look_at(pid: int) -> Optional[Process]:
    """A process; None if there is none."""
    known = _procfs.stat(pid)
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    if known is None:
        return None
    uptime = float(_procfs.read("/proc/uptime").split()[0])
    return Process(
        pid,
        known.parent,
        known.state,
        uid,
        " ".join(command_of(pid)),
        _unit_of(pid),
        max(uptime - known.started / _TICKS, 0.0),
        known.ticks / _TICKS,
        known.resident,
        known.threads,
        _open_in(pid),
        _procfs.descriptor_limit(pid),
    )


def is_alive(pid: int) -> bool:
    """Whether it exists, and is no zombie."""
    known = _procfs.stat(pid)
    return known is not None and known.state not in "ZX"


def command_of(pid: int) -> list[str]:
    """Its command line, empty for what has none, or is gone."""
    return [word for word in _procfs.command_line(pid) if word]


def _unit_of(pid: int) -> str:
    for line in _procfs.read(f"/proc/{pid}/cgroup").splitlines():
        parts = [part for part in line.split("/") if part.endswith((".service", ".scope"))]
        if parts:
            return parts[-1]
    return ""


def _open_in(pid: int) -> Optional[int]:
    try:
        size = os.stat(f"/proc/{pid}/fd").st_size  # the count, since Linux 6.2
        return size or len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def children_of(pid: int) -> list[int]:
    """Those that live, the oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(child) for child in file.read().split()]
    return sorted(set(found), key=lambda child: (_began(child), child))


def _began(pid: int) -> int:
    known = _procfs.stat(pid)
    return 0 if known is None else known.started


def masters() -> Iterator[int]:
    """gunicorn's masters on this machine."""
    for pid in _procfs.pids():
        if _procfs.is_gunicorn(command_of(pid)) and not is_worker(pid):
            yield pid


def is_worker(pid: int) -> bool:
    """Whether it is a worker of a gunicorn."""
    return master_of(pid) is not None


def master_of(pid: int) -> Optional[int]:
    """The master of a worker; None if it is none."""
    known = look_at(pid)
    return known.parent if known is not None and pid in workers_of(known.parent) else None


def workers_of(master: int) -> list[int]:
    """The workers of a master, the oldest first. Empty if it is none."""
    command = command_of(master)
    if not _procfs.is_gunicorn(command):
        return []
    return [pid for pid in children_of(master) if _is_its(command_of(pid), command)]


def _is_its(command: list[str], masters_own: list[str]) -> bool:
    if not command:
        return False
    return command == masters_own or command[0].startswith("gunicorn: worker")
