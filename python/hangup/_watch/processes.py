"""Processes and what they have open, as /proc tells. They may end at any moment: then there is nothing to tell."""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple, Optional

from .. import _procfs
from .._procfs import command_line as command_line
from .._procfs import descriptors as descriptors
from .._procfs import environment as environment
from .._procfs import pids as pids
from .._procfs import read as read

#: What gunicorn's heartbeat touches: a file without a name, in each worker.
_HEARTBEAT = re.compile(r"/wgunicorn-[^/]*( \(deleted\))?$")
#: Generations below a script in which its gunicorn is looked for.
_DEEPEST = 4


class Process(NamedTuple):
    """A process at one moment: see :class:`.._procfs.Stat`."""

    pid: int
    parent: int
    state: str
    started: int
    resident: int


def process(pid: int) -> Optional[Process]:
    """The process with this number; None if there is none, or it has ended and nobody has reaped it."""
    found = _procfs.stat(pid)
    if found is None or found.state in "ZX":
        return None
    return Process(pid, found.parent, found.state, found.started, found.resident)


def same(known: Process) -> Optional[Process]:
    """It, now; None if it has ended, whoever has its number."""
    found = process(known.pid)
    return found if found is not None and found.started == known.started else None


def children(pid: int) -> list[Process]:
    """The children of a process, the oldest first."""
    found = [process(number) for number in pids()]
    return sorted(
        (one for one in found if one is not None and one.parent == pid),
        key=lambda one: (one.started, one.pid),
    )


def may_be_looked_into(pid: int) -> bool:
    """Whether what it has open is told to this user; also if it has ended."""
    try:
        for name in os.listdir(f"/proc/{pid}/fd")[:1]:
            os.readlink(f"/proc/{pid}/fd/{name}")
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def descriptor_limit(pid: int) -> int:
    """RLIMIT_NOFILE; 0 if there is none, or it may not be read."""
    return _procfs.descriptor_limit(pid) or 0


def inodes(held: dict[int, str]) -> set[int]:
    """Of the sockets among descriptors."""
    return {int(what[8:-1]) for what in held.values() if what.startswith("socket:[")}


def heartbeat(pid: int, held: dict[int, str], now: Optional[float] = None) -> Optional[float]:
    """Seconds since a gunicorn worker's last heartbeat; None if it has none.

    The change time of the file is told by every gunicorn: older ones change its mode, newer ones its times.

    Args:
        pid: the worker.
        held: its :func:`descriptors`.
        now: seconds since the epoch.
    """
    for number, what in held.items():
        if _HEARTBEAT.search(what):
            try:
                touched = os.stat(f"/proc/{pid}/fd/{number}").st_ctime
            except OSError:
                return None
            return max(0.0, (time.time() if now is None else now) - touched)
    return None


def is_gunicorn(pid: int) -> bool:
    """Whether its command line says so."""
    return _procfs.is_gunicorn(command_line(pid))


def served_by(leader: Process, known: Optional[Process]) -> Process:
    """The gunicorn that a process is, or that it started, as a script does that does not ``exec`` it; else itself.

    Args:
        leader: the process.
        known: what was found before.
    """
    if known is not None and known.pid != leader.pid:
        still = same(known)
        if still is not None:
            return still
    generation = [leader]
    for _ in range(_DEEPEST):
        for one in generation:
            if is_gunicorn(one.pid):
                return one
        generation = [child for one in generation for child in children(one.pid)]
    return leader


def masters() -> list[Process]:
    """The gunicorns that run: those whose parent is none."""
    found = {}
    for number in pids():
        if is_gunicorn(number):
            one = process(number)
            if one is not None:
                found[one.pid] = one
    return sorted((one for one in found.values() if one.parent not in found), key=lambda one: one.pid)
