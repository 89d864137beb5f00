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

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        uid = os.stat(f"/proc/{pid}").st_uid
        with open("/proc/uptime") as file:
            uptime = float(file.read().split()[0])
    except OSError:
        return None
    return Process(
        pid,
        int(fields[1]),
        fields[0],
        uid,
        " ".join(command_of(pid)),
        _unit_of(pid),
        max(uptime - int(fields[19]) / _TICKS, 0.0),
        (int(fields[11]) + int(fields[12])) / _TICKS,
        int(fields[21]) * _PAGE,
        int(fields[17]),
        _open_in(pid),
        _limit_of(pid),
    )


def is_alive(pid: int) -> bool:
    """Whether it exists, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def command_of(pid: int) -> list[str]:
    """Its command line, empty for what has none, or is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", errors="backslashreplace") as file:
            return [word for word in file.read().split("\0") if word]
    except OSError:
        return []


def _unit_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", errors="replace") as file:
        for line in file:
            parts = [part for part in line.strip().split("/") if part.endswith((".service", ".scope"))]
            if parts:
                return parts[-1]
    return ""


def _open_in(pid: int) -> Optional[int]:
    try:
        size = os.stat(f"/proc/{pid}/fd").st_size  # the count, since Linux 6.2
        return size or len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def _limit_of(pid: int) -> Optional[int]:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/limits", errors="replace") as file:
        for line in file:
            if line.startswith("Max open files"):
                return int(line.split()[3])
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
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[19])
    return 0


def is_gunicorn(command: list[str]) -> bool:
    """Whether a command line is gunicorn's: its own, Python's, or what setproctitle made of it."""
    if not command:
        return False
    if command[0].startswith(("gunicorn: master", "gunicorn: worker")):
        return True
    names = [os.path.basename(word) for word in command]
    if names[0] == "gunicorn":
        return True
    if not names[0].startswith(("python", "pypy")):
        return False
    script = next((place for place, word in enumerate(command[1:], 1) if not word.startswith("-")), 0)
    return names[script] == "gunicorn" and (
        script == 1 or command[script - 1] in ("-m", "-u", "-I", "-E", "-s")
    )


def masters() -> Iterator[int]:
    """gunicorn's masters on this machine."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and is_gunicorn(command_of(int(entry))) and not is_worker(int(entry)):
            yield int(entry)


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
    if not is_gunicorn(command):
        return []
    return [pid for pid in children_of(master) if _is_its(command_of(pid), command)]


def _is_its(command: list[str], masters_own: list[str]) -> bool:
    if not command:
        return False
    return command == masters_own or command[0].startswith("gunicorn: worker")
