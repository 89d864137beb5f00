"""A process of a deployment, with all that it started, its log, and what it holds.

Promised: when it is stopped, every process of its session is gone: SIGTERM for the first, SIGKILL for whoever is left
after a deadline. Not promised: a reading of ``/proc`` of one moment; ask when the clients are gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hangup._demo.server import wait_until

_BOOTED = re.compile(r"Booting worker with pid: ([0-9]+)")
_STOP_SECONDS = 12.0


class Failed(RuntimeError):
    """A service did not come up; the message ends with its log."""


@dataclass(frozen=True)
class Holding:
    """What processes hold together: descriptors, threads, resident memory in KiB."""

    fds: int = 0
    threads: int = 0
    rss: int = 0

    def __add__(self, other: Holding) -> Holding:
        """The sum of both."""
        return Holding(self.fds + other.fds, self.threads + other.threads, self.rss + other.rss)


class Service:
    """A started command.

    Its standard output and standard error are two files: a line of the access log would come into the middle of a
    traceback.
    """

    def __init__(self, command: Sequence[str], directory: Path, env: Mapping[str, str], logs: Path) -> None:
        """Starts it; ``logs`` without a suffix."""
        self._output, self._errors = logs.with_suffix(".out"), logs.with_suffix(".err")
        self._boots_at_rest = 0
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                list(command), cwd=directory, env=dict(env), stdin=subprocess.DEVNULL,
                stdout=output, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self._sessions = {self._process.pid}

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has written: standard output, then standard error."""
        return "\n".join(file.read_text(errors="replace") for file in (self._output, self._errors))

    @property
    def restarts(self) -> int:
        """How many of gunicorn's workers were started after `wait_for_ports`."""
        return len(_BOOTED.findall(self.log)) - self._boots_at_rest

    def wait_for_ports(self, *ports: int, workers: int = 0, seconds: float = 40) -> None:
        """Until somebody listens at each of ``ports``, and that many of gunicorn's workers have booted.

        Raises:
            Failed: it ended, or the deadline passed.
        """

        def up() -> bool:
            if self._process.poll() is not None:
                raise Failed(f"ended with {self._process.returncode}:\n{self.log}")
            return len(_BOOTED.findall(self.log)) >= workers and all(map(listens, ports))

        if not wait_until(up, seconds, every=0.05):
            raise Failed(f"nobody listens at {ports} after {seconds} s:\n{self.log}")
        self._boots_at_rest = len(_BOOTED.findall(self.log))

    def processes(self) -> list[int]:
        """The first process and what it started: its session, and those that its processes have begun."""
        found = {pid: _parent_and_session(pid) for pid in _pids()}
        begun = {
            session for parent, session in found.values() if found.get(parent, (0, 0))[1] in self._sessions
        }
        self._sessions |= begun - {0}
        return [pid for pid, (_, session) in found.items() if session in self._sessions]

    def holding(self) -> Holding:
        """The sum over its processes."""
        return sum((_holding(pid) for pid in self.processes()), Holding())

    def signal(self, number: int) -> None:
        """To the first process alone, as an init system does."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> int:
        """Ends it; how many of its processes SIGTERM to the first one did not end."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        wait_until(lambda: not self.processes(), 1.0)
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        return len(left)


def listens(port: int) -> bool:
    """Whether somebody accepts at ``port`` of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port nobody listens at. Somebody may, a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _parent_and_session(pid: int) -> tuple[int, int]:
    """0 when it is gone, or only waits to be asked for its status."""
    with contextlib.suppress(OSError):
        state, parent, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
        return (0, 0) if state == "Z" else (int(parent), int(session))
    return 0, 0


def _holding(pid: int) -> Holding:
    with contextlib.suppress(OSError):
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return Holding(
            fds=len(os.listdir(f"/proc/{pid}/fd")),
            threads=int(status["Threads"]),
            rss=int(status.get("VmRSS", "0 kB").split()[0]),
        )
    return Holding()
