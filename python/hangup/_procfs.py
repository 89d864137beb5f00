"""Processes, as proc(5) tells of them. They may end at any moment: then there is nothing to tell."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple, Optional

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Between an interpreter and its script: those that take nothing of their own.
_PLAIN_OPTIONS = ("-m", "-u", "-I", "-E", "-s")


class Stat(NamedTuple):
    """What ``/proc/<pid>/stat`` has.

    Attributes:
        pid: with ``started``, who it is: the number may be given again.
        parent: its parent's.
        state: a letter; ``Z`` and ``X`` have ended.
        started: clock ticks from the boot to its start.
        resident: bytes of memory.
        ticks: clock ticks that it had of processors.
        threads: how many.
    """

    pid: int
    parent: int
    state: str
    started: int
    resident: int
    ticks: int
    threads: int


def stat(pid: int) -> Optional[Stat]:
    """Of the process with this number; None if there is none."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # its name may have spaces and brackets
    if len(fields) < 22:
        return None
    resident, ticks = int(fields[21]) * _PAGE, int(fields[11]) + int(fields[12])
    return Stat(pid, int(fields[1]), fields[0], int(fields[19]), resident, ticks, int(fields[17]))


def read(path: str) -> str:
    """A file of ``/proc``; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError:
        return ""


def pids() -> list[int]:
    """Of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def command_line(pid: int) -> list[str]:
    """The words of it; empty if they cannot be read."""
    text = read(f"/proc/{pid}/cmdline")
    return text.rstrip("\0").split("\0") if text else []


def environment(pid: int) -> dict[str, str]:
    """With which it was started; empty if it may not be read."""
    pairs = (pair.partition("=") for pair in read(f"/proc/{pid}/environ").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def descriptors(pid: int) -> dict[int, str]:
    """What it has open: numbers, and what ``/proc`` says they are. Empty if that may not be read."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def descriptor_limit(pid: int) -> Optional[int]:
    """The soft ``RLIMIT_NOFILE``; None if there is none, or it may not be read."""
    for line in read(f"/proc/{pid}/limits").splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdecimal() else None
    return None


def is_gunicorn(words: list[str]) -> bool:
    """Whether a command line is gunicorn's: its own, Python's, or what setproctitle made of it."""
    if not words or words[0].startswith("gunicorn: "):
        return bool(words)
    names = [os.path.basename(word) for word in words]
    if names[0] == "gunicorn" or not names[0].startswith(("python", "pypy")):
        return names[0] == "gunicorn"
    script = next((place for place, word in enumerate(words[1:], 1) if not word.startswith("-")), 0)
    is_its = names[script] == "gunicorn" or words[script].endswith("/gunicorn/__main__.py")
    return is_its and (script == 1 or words[script - 1] in _PLAIN_OPTIONS)
