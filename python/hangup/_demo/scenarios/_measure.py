"""What a scenario is and what it counts.

Every figure is counted from outside the server: by its clients, from its log, or from ``/proc``. `None`
means that the scenario does not look at that figure; 0 means that it looked and found none.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hangup._demo.server import Server, Stack

_EBADF = re.compile(r"\[Errno 9\]")
_TRACEBACK = re.compile(r"^\s*(?:[|+] )*Traceback \(most recent call last\):", re.MULTILINE)
_QUIET = re.compile(r"\[(?:INFO|DEBUG)\]")


@dataclass(frozen=True)
class Measurement:
    """What one run of a scenario counted.

    Attributes:
        scenario: The scenario's name.
        stack: "stock" or "hangup".
        worker: gunicorn's worker class.
        version: gunicorn's version.
        rounds: How many rounds were run.
        seconds: How long the whole run took.
        foreign_bytes: Bytes that reached a client they were not meant for.
        ebadf_lines: Log lines about a bad file descriptor.
        tracebacks: Tracebacks in the log.
        dropped_innocents: Connections that had done nothing and were lost, or got a wrong answer.
        fresh_latency_s: Seconds that a new client waited for its answer.
        idle_latency_s: The same on an idle server.
        recovery_s: The same when the load that used up the descriptors has just gone.
        fds_left: Sockets the workers still hold, beyond what they hold at rest, when all clients have gone.
        worker_deaths: Workers that gunicorn had to replace.
        nr_conns_drift: What the worker believes it holds, minus what it holds.
        stray_bytes: Bytes in the application's files that the application did not write.
        http_bytes_in_websocket: Bytes after the WebSocket's last frame.
        extra: Further figures of this scenario alone.
        log: The server's log.
    """

    scenario: str
    stack: str
    worker: str
    version: str
    rounds: int
    seconds: float = 0.0
    foreign_bytes: int | None = None
    ebadf_lines: int | None = None
    tracebacks: int | None = None
    dropped_innocents: int | None = None
    fresh_latency_s: float | None = None
    idle_latency_s: float | None = None
    recovery_s: float | None = None
    fds_left: int | None = None
    worker_deaths: int | None = None
    nr_conns_drift: int | None = None
    stray_bytes: int | None = None
    http_bytes_in_websocket: int | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    log: str = field(default="", repr=False)


@dataclass(frozen=True)
class Scenario:
    """One scenario of the demonstration.

    Attributes:
        name: Short name, for the command line.
        title: One line that says what happens.
        measure: Runs it on a stack for a number of rounds.
        rounds: How many rounds the demonstration runs.
        workers: The worker classes the demonstration runs it on.
        modules: What the server must be able to import.
    """

    name: str
    title: str
    measure: Callable[[Stack, int], Measurement]
    rounds: int
    workers: tuple[str, ...] = ("gthread",)
    modules: tuple[str, ...] = ()

    def missing(self, stack: Stack) -> str | None:
        """Return why this scenario cannot run on ``stack``, or None."""
        for module in (*self.modules, *_modules_of(stack.worker)):
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed"
        if stack.worker == "eventlet" and stack.release >= (26,):
            return f"gunicorn {stack.version} has no eventlet worker"
        return None


class Clock:
    """Builds a `Measurement`: knows the run, times it, and adds what every scenario reads from the server."""

    def __init__(self, scenario: str, stack: Stack, rounds: int) -> None:
        """Start timing a run of ``scenario``."""
        self._started = time.monotonic()
        self._blank = Measurement(scenario, stack.name, stack.worker, stack.version, rounds)

    def read(self, server: Server, **counts: Any) -> Measurement:
        """Return ``counts`` with the log's figures, worker deaths and sockets left added.

        Call it when the clients have gone and before the server is stopped. What ``counts`` has is not
        asked for again.
        """
        counts.setdefault("fds_left", server.sockets_left())
        server.wait_log_quiet()
        log = server.log()
        counts.setdefault("worker_deaths", server.boots() - 1)
        counts.setdefault("ebadf_lines", count_lines(_EBADF, log))
        counts.setdefault("tracebacks", len(_TRACEBACK.findall(log)))
        return replace(self._blank, seconds=time.monotonic() - self._started, log=log, **counts)


def count_lines(pattern: re.Pattern[str], log: str) -> int:
    """Return how many lines of ``log`` match ``pattern``."""
    return sum(1 for line in log.splitlines() if pattern.search(line))


def loud_lines(log: str) -> int:
    """Return how many lines of ``log`` are neither blank nor of level INFO or DEBUG."""
    return sum(1 for line in log.splitlines() if line.strip() and not _QUIET.search(line))


def ownership_violations(server: Server) -> int | None:
    """Return how many ownership violations the worker has counted; None on a stack without hangup.

    Raises:
        OSError: The server did not answer.
    """
    told = server.stats()["hangup"]
    return None if told is None else int(told["ownership_violations"])


def drift(server: Server, *, seconds: float = 2.0) -> int | None:
    """Return the worker's ``nr_conns`` minus the one connection that asks, once it has come to rest.

    Returns:
        0 when the count is exact; None when the worker class keeps no such count.

    Raises:
        OSError: The server did not answer.
    """
    end = time.monotonic() + seconds
    while (here := server.stats()["nr_conns"]) not in (1, None) and time.monotonic() < end:
        time.sleep(0.02)
    return None if here is None else int(here) - 1


def _modules_of(worker: str) -> tuple[str, ...]:
    return {"gevent": ("gevent",), "gevent_pywsgi": ("gevent",), "eventlet": ("eventlet",)}.get(worker, ())
