"""What a watch has to remember when it is itself started again: how much of its budget is spent, and whom it watched.

How
    A file of JSON, replaced as a whole; times are seconds since the boot, so that a clock that is set does not matter,
    and are forgotten with the next boot. A lock beside it keeps two watches from one service.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from typing import Any, Optional

from . import processes

_MOST_MASTERS = 64


def now() -> float:
    """Seconds since the boot, with the time that the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """Which boot this is."""
    return processes.read("/proc/sys/kernel/random/boot_id").strip()


def default_path(name: str) -> str:
    """Where the state of a service is kept: systemd's ``StateDirectory``, or the user's."""
    directory = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not directory:
        home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        directory = os.path.join(home, "hangup")
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[-40:]
    return os.path.join(directory, f"watch-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json")


class Taken(Exception):
    """Another watch looks after the service."""


class State:
    """The memory of a watch.

    Args:
        path: of its file; None: it is forgotten.

    Attributes:
        restarts, recycles: when each was, in seconds since the boot.
        attempts, last: of the back-off.
        masters: the gunicorn masters that were watched: when each number's process began, in clock ticks.
        problem: why nothing is remembered; empty if it is.

    Raises:
        Taken: another watch has it.
    """

    def __init__(self, path: Optional[str]) -> None:
        self.path = path
        self.restarts: list[float] = []
        self.recycles: list[float] = []
        self.attempts = 0
        self.last = 0.0
        self.masters: dict[int, int] = {}
        self.problem = ""
        self._lock: Optional[int] = None
        if path is not None:
            try:
                self._open(path)
            except OSError as error:
                self.problem = f"{path}: {error.strerror or error}"

    def _open(self, path: str) -> None:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise Taken(path) from error
        try:
            with open(path, encoding="utf-8") as file:
                self._take(json.load(file))
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError):
            self.problem = f"{path}: not what a watch writes; it starts anew"

    def _take(self, told: dict[str, Any]) -> None:
        if told.get("boot") != boot():
            return
        latest = now()
        self.restarts = [float(at) for at in told["restarts"] if 0 <= float(at) <= latest]
        self.recycles = [float(at) for at in told["recycles"] if 0 <= float(at) <= latest]
        self.attempts, self.last = int(told["attempts"]), float(told["last"])
        self.masters = {int(pid): int(started) for pid, started in told["masters"].items()}

    def remember_master(self, pid: int, started: int) -> None:
        """The latest ones are known."""
        self.masters.pop(pid, None)
        self.masters[pid] = started
        for oldest in list(self.masters)[:-_MOST_MASTERS]:
            del self.masters[oldest]

    def save(self) -> None:
        """Writes it down, if it can be written; :attr:`problem` says why not."""
        if self._lock is None or self.path is None:
            return
        told = {
            "boot": boot(),
            "restarts": self.restarts,
            "recycles": self.recycles,
            "attempts": self.attempts,
            "last": self.last,
            "masters": {str(pid): started for pid, started in self.masters.items()},
        }
        fresh = f"{self.path}.new"
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(told, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self.path)
            self.problem = ""
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror or error}"

    def close(self) -> None:
        """Lets another watch have it."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None
