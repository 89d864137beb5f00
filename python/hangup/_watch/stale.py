"""Removes sockets' files and pid files that a dead gunicorn left behind, if that it is dead can be proven.

Promised
    A file is removed only if
    * a socket's: connecting is refused, and no process has it, as ``/proc/net/unix`` tells;
    * a pid file: no process has that number; or the one that has it is not the one that this watch knew under it; or it
      began after the file had been written, and is neither a Python nor a gunicorn.
    What is removed is the file that was looked at: if another one has come in its place meanwhile, that is put back.

Not promised
    Files shared with another pid namespace: whoever lives there is not seen. gunicorn does not see them either.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Optional

from . import processes, sockets

_CONNECTS_WITHIN = 2.0
#: Seconds by which the clocks of a file system and of the kernel's boot time may differ.
_SLACK = 2.0


class Verdict(NamedTuple):
    """What is to be done with a file.

    Attributes:
        path: which.
        is_stale: it is proven that nobody uses it.
        reason: why, or why not.
    """

    path: str
    is_stale: bool
    reason: str


def judge_socket(path: str) -> Optional[Verdict]:
    """Whether a Unix socket's file is stale; None: there is nothing."""
    try:
        state = os.lstat(path)
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.ENOTDIR) else Verdict(path, False, str(error))
    if not stat.S_ISSOCK(state.st_mode):
        return Verdict(path, False, "it is no socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECTS_WITHIN)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            pass
        except OSError as error:
            return Verdict(path, False, f"it is not certain that nobody listens: {error.strerror or error}")
        else:
            return Verdict(path, False, "somebody listens")
    name = os.path.basename(path)
    if any(os.path.basename(known) == name for known, _, _ in sockets.unix_sockets()):
        return Verdict(path, False, "it refuses, and a process has a socket of that name")
    return Verdict(path, True, "it refuses, and no process has it")


def judge_pid_file(path: str, known: Mapping[int, int]) -> Optional[Verdict]:
    """Whether a pid file is stale; None: there is nothing.

    Args:
        path: the file.
        known: the masters that this watch has seen since the machine booted: when each number's process began.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(64).strip()
            written = os.fstat(file.fileno()).st_mtime
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.ENOTDIR) else Verdict(path, False, str(error))
    if not text.isdigit() or not int(text):
        return Verdict(path, False, "it has no process number in it")
    pid = int(text)
    if not os.path.exists(f"/proc/{pid}"):
        return Verdict(path, True, f"there is no process {pid}")
    found = processes.process(pid)
    if found is None:
        return Verdict(path, True, f"process {pid} has ended")
    if pid in known:
        is_other = known[pid] != found.started
        return Verdict(path, is_other, f"process {pid} {'is another one' if is_other else 'runs'}")
    return _unknown(path, found, written)


def _unknown(path: str, found: processes.Process, written: float) -> Verdict:
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + found.started / os.sysconf("SC_CLK_TCK")
    words = processes.command_line(found.pid)
    name = os.path.basename(words[0]) if words else ""
    may_be_gunicorn = not words or "python" in name or "gunicorn" in " ".join(words)
    if began > written + _SLACK and not may_be_gunicorn:
        return Verdict(path, True, f"process {found.pid} ({name}) began after it was written")
    return Verdict(path, False, f"process {found.pid} ({name}) runs, and may have written it")


def clean(path: str, judge: Callable[[str], Optional[Verdict]]) -> Optional[Verdict]:
    """Judges a file, and removes it if it is stale. None: there is nothing.

    Args:
        path: the file.
        judge: :func:`judge_socket`, or what knows the masters for :func:`judge_pid_file`.
    """
    try:
        with _directory_lock(os.path.dirname(path) or "."):
            state = os.lstat(path)
            verdict = judge(path)
            if verdict is not None and verdict.is_stale and not _remove(path, state):
                return Verdict(path, False, "another one has come in its place")
            return verdict
    except FileNotFoundError:
        return None
    except OSError as error:
        return Verdict(path, False, f"it cannot be removed: {error.strerror or error}")


def _remove(path: str, state: os.stat_result) -> bool:
    """By way of another name: nothing else that is put there meanwhile is lost."""
    aside = f"{path}.stale-{os.getpid()}"
    os.rename(path, aside)
    moved = os.lstat(aside)
    is_it = (moved.st_dev, moved.st_ino) == (state.st_dev, state.st_ino)
    if not is_it:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    os.unlink(aside)
    return is_it


@contextlib.contextmanager
def _directory_lock(directory: str) -> Iterator[None]:
    """Of two watches, one at a time."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
