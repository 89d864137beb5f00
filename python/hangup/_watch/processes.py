"""Processes and what they have open, as /proc tells. They may end at any moment: then there is nothing to tell."""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple, Optional

#: What gunicorn's heartbeat touches: a file without a name, in each worker.
_HEARTBEAT = re.compile(r"/wgunicorn-[^/]*( \(deleted\))?$")
_LIMIT = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Generations below a script in which its gunicorn is looked for.
_DEEPEST = 4


class Process(NamedTuple):
    """A process at one moment.

    Attributes:
        pid: with ``started``, who it is: the number may be given again.
        parent: its parent's.
        state: a letter, see proc(5).
        started: clock ticks from the boot to its start.
        resident: bytes of memory.
    """

    pid: int
    parent: int
    state: str
    started: int
    resident: int


def process(pid: int) -> Optional[Process]:
    """The process with this number; None if there is none, or it has ended and nobody has reaped it."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 22 or fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), fields[0], int(fields[19]), int(fields[21]) * _PAGE)


def same(known: Process) -> Optional[Process]:
    """It, now; None if it has ended, whoever has its number."""
    found = process(known.pid)
    return found if found is not None and found.started == known.started else None


def pids() -> list[int]:
    """All of them."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def children(pid: int) -> list[Process]:
    """The children of a process, the oldest first."""
    found = [process(number) for number in pids()]
    return sorted(
        (one for one in found if one is not None and one.parent == pid),
        key=lambda one: (one.started, one.pid),
    )


def read(path: str) -> str:
    """A file of /proc; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def command_line(pid: int) -> list[str]:
    """The words of it; empty if they cannot be read."""
    text = read(f"/proc/{pid}/cmdline")
    return text.rstrip("\0").split("\0") if text else []


def environment(pid: int) -> dict[str, str]:
    """With which it was started; empty if it may not be read."""
    pairs = (pair.partition("=") for pair in read(f"/proc/{pid}/environ").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def descriptors(pid: int) -> dict[int, str]:
    """What it has open: numbers, and what /proc says they are. Empty if that may not be read."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
    except OSError:
        return found
    return found


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
    found = _LIMIT.search(read(f"/proc/{pid}/limits"))
    return int(found.group(1)) if found else 0


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
    """Whether its command line says so: the script, the module, or the title that setproctitle gives."""
    words = command_line(pid)[:6]
    if not words or words[0].startswith("gunicorn: "):
        return bool(words)
    program = os.path.basename(words[0])
    if program == "gunicorn" or not program.startswith(("python", "pypy")):
        return program == "gunicorn"
    return any(
        os.path.basename(word) == "gunicorn" or word.endswith("/gunicorn/__main__.py") for word in words
    )


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
