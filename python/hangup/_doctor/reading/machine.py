"""The limits of this machine, or of one process of it."""

from __future__ import annotations

import os
import re
from typing import Optional

from ..facts import Machine


def read_machine(pid: Optional[int] = None) -> Machine:
    """Of this process, or of another.

    Raises:
        OSError: there is no such process, or it is somebody else's.
    """
    return Machine(_open_files(pid), _number("/proc/sys/net/core/somaxconn"), pid)


def _open_files(pid: Optional[int]) -> Optional[int]:
    if pid is None:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if soft == resource.RLIM_INFINITY else soft
    with open(f"/proc/{pid}/limits", encoding="utf-8", errors="replace") as file:
        match = re.search(r"^Max open files\s+(\d+)", file.read(), re.MULTILINE)
    return int(match[1]) if match else None


def _number(path: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(40).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def command_of(pid: int) -> tuple[list[str], dict[str, str], str]:
    """The words, the environment (empty if it is somebody else's) and the folder of a process.

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read(1 << 20).split(b"\0")]
    while words and not words[-1]:
        words.pop()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [os.fsdecode(pair).partition("=") for pair in file.read(1 << 20).split(b"\0")]
        folder = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return words, {}, ""
    return words, {name: value for name, equals, value in pairs if equals}, folder
