"""A server process on one core, its log, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional

from ._machine import pinned

ROOT = Path(__file__).resolve().parents[1]

_BOOT_SECONDS = 20.0
_STOP_SECONDS = 5.0
_SETTLE_SECONDS = 5.0
_QUIET_SECONDS = 0.2
#: Of the environment that servers do not get.
_UNWANTED = (
    "GUNICORN_CMD_ARGS",
    "HANGUP",
    "XDG_RUNTIME_DIR",
    "PYTHONDONTWRITEBYTECODE",
    "WEB_CONCURRENCY",
)


class Unavailable(Exception):
    """What a row needs is not there; the message says what, and how to get it."""


class Process:
    """Use as a context manager.

    Args:
        command: an interpreter's path is not needed for what begins with ``-m``.
        listening: finds the port, its only group, in the log.
        core: for all its processes.
        path: directories to put first on Python's path.
        env: more of its environment.

    Attributes:
        port: it listens at, on 127.0.0.1.
    """

    def __init__(
        self,
        command: list[str],
        listening: str,
        core: int,
        path: Optional[list[str]] = None,
        env: Optional[dict[str, str]] = None,
    ) -> None:
        self._listening = re.compile(listening)
        self._home = tempfile.TemporaryDirectory(prefix="hangup-bench-")
        self._log = Path(self._home.name) / "log"
        self._path = path or []
        self._env = env or {}
        self._command = pinned(core, [sys.executable, *command] if command[0] == "-m" else command)
        self.port = 0

    def __enter__(self) -> Process:
        with self._log.open("wb") as sink:
            self._master = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment(),
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            self.until(lambda: self._listening.search(self.log) is not None)
            found = self._listening.search(self.log)
            assert found is not None
            self.port = int(found.group(1))
            self.check()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._master.send_signal(signal.SIGTERM)
        try:
            self._master.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._master.pid, signal.SIGKILL)  # its own session: nobody else's processes
            self._master.wait()
        self._home.cleanup()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Waits until it serves, and looks whether it is the server that was asked for.

        Raises:
            Unavailable: it is not.
        """

    def pid(self) -> int:
        """The process that serves."""
        return self._master.pid

    def child(self) -> int:
        """Its first child process."""
        master = self._master.pid
        return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])

    def cpu(self) -> float:
        """Seconds for which :meth:`pid` has been on a CPU, to a hundredth. Its threads that ended are counted."""
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rpartition(")")[2].split()
        user, system = fields[11:13]  # proc(5): utime and stime
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Waits until clients that left cost nothing any more: the other server has the same core."""
        deadline, before = time.monotonic() + _SETTLE_SECONDS, -1.0
        while time.monotonic() < deadline and (now := self.cpu()) > before:
            before = now
            time.sleep(_QUIET_SECONDS)

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits for ``condition``.

        Raises:
            Unavailable: the process ended, or it took too long.
        """
        deadline = time.monotonic() + _BOOT_SECONDS
        while not condition():
            if self._master.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"the server did not start: {self.log[-600:]}")
            time.sleep(0.02)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        path = [*self._path, *filter(None, [kept.get("PYTHONPATH")])]
        # HOME: gunicorn's control socket goes below it, and two servers must not share one.
        own = {"HOME": self._home.name, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(path)}
        return {**kept, **own, "PYTHONUNBUFFERED": "1", **self._env}
