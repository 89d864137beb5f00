"""A real gunicorn in a subprocess, for the demonstration and the end-to-end tests.

Promised: the server listens on a port of the kernel's choosing, is answering when the ``with`` block
starts, and it and its workers are gone when the block ends, whatever happened in between. "stock" and
"hangup" differ in one command line option and in nothing else.

Not promised: that the server survives the block's body. That is what the callers measure.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from hangup.testing.census import Census, fd_census

STOCK = "stock"
HANGUP = "hangup"

_APPS = Path(__file__).resolve().parent / "apps"
_LISTENING = re.compile(r"Listening at: http://([0-9.]+):([0-9]+)")
_BOOTING = re.compile(r"Booting worker with pid: ([0-9]+)")
_BOOT_SECONDS = 20.0
_STOP_SECONDS = 4.0
_POLL_SECONDS = 0.01
# What would make a server that is started here differ from the one beside it.
_NOT_INHERITED = ("GUNICORN_CMD_ARGS", "HANGUP", "XDG_RUNTIME_DIR", "WEB_CONCURRENCY", "PORT")
# Limits are set by a fresh interpreter that then becomes gunicorn: code between fork and exec is not safe
# here.
_LIMITED = (
    "import os, resource, sys\n"
    "limit = int(sys.argv[1])\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
)


class ServerFailed(RuntimeError):
    """The server did not start, or did not answer; the message ends with its log."""


class MissingGunicorn(LookupError):
    """No unpacked gunicorn of the wanted version was found; the message names it."""


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = _POLL_SECONDS) -> bool:
    """Ask ``condition`` until it holds.

    Args:
        condition: Asked at least once.
        seconds: Deadline.
        every: Seconds between two questions.

    Returns:
        Whether the condition held before the deadline.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return True


def gunicorn_home(version: str) -> Path:
    """Return the directory that holds gunicorn ``version``, for PYTHONPATH.

    Looked for as ``VERSION`` in ``$HANGUP_GUNICORN_HOME``, then in ``.gunicorn`` of the working directory,
    then of the source tree.

    Raises:
        MissingGunicorn: There is none.
    """
    source_tree = Path(__file__).resolve().parents[3]
    chosen = os.environ.get("HANGUP_GUNICORN_HOME")
    roots = [Path(chosen)] if chosen else []
    for root in [*roots, Path.cwd() / ".gunicorn", source_tree / ".gunicorn"]:
        if (root / version / "gunicorn").is_dir():
            return root / version
    raise MissingGunicorn(
        f"gunicorn {version} is not there; "
        f"pip install --no-deps --target .gunicorn/{version} gunicorn=={version}"
    )


@dataclass(frozen=True)
class Stack:
    """What is measured: gunicorn as it is, or the same with hangup.

    Attributes:
        name: "stock" or "hangup".
        worker: gunicorn's worker class, as for ``-k``.
        gunicorn: Version to run (see `gunicorn_home`); None for the installed one.
        threads: Threads of a gthread worker; other workers get no such option.
        args: Further command line arguments.
        env: Further environment variables of the server.
        nofile: Limit of open descriptors for the server's processes; None leaves it.
    """

    name: str = STOCK
    worker: str = "gthread"
    gunicorn: str | None = None
    threads: int = 4
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    nofile: int | None = None

    def with_(self, *args: str, **changes: Any) -> Stack:
        """Return this stack with ``args`` appended to its arguments and ``changes`` made to its fields."""
        return replace(self, args=(*self.args, *args), **changes)

    @property
    def version(self) -> str:
        """The gunicorn version this stack runs."""
        return self.gunicorn or importlib.metadata.version("gunicorn")

    @property
    def release(self) -> tuple[int, ...]:
        """The gunicorn version as numbers, for comparisons."""
        return tuple(int(part) for part in re.findall(r"[0-9]+", self.version)[:3])

    def command(self, app: str) -> list[str]:
        """Return the command line that serves the module ``app`` of the ``apps`` directory."""
        words = ["-m", "gunicorn", "-k", self.worker, "-b", "127.0.0.1:0"]
        if self.name == HANGUP:
            words += ["-c", "python:hangup.gunicorn"]
        if self.worker == "gthread":
            # Any other worker would be replaced by gthread when it is told of threads.
            words += ["--threads", str(self.threads)]
        words += [*self.args, f"introspect:load({app!r})"]
        if self.nofile is None:
            return [sys.executable, *words]
        return [sys.executable, "-c", _LIMITED, str(self.nofile), *words]

    def environment(self, directory: Path) -> dict[str, str]:
        """Return the server's environment; ``directory`` is its own, and its home.

        Raises:
            MissingGunicorn: The wanted version is not there.
        """
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        path = [str(_APPS)]
        if self.gunicorn is not None:
            path.insert(0, str(gunicorn_home(self.gunicorn)))
        if kept.get("PYTHONPATH"):
            path.append(kept["PYTHONPATH"])
        # gunicorn 25 and later put a control socket below the home: one for each server, none shared.
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(directory),
            "DEMO_DIRECTORY": str(directory),
            **self.env,
        }


class Server:
    """A running gunicorn; use as a context manager.

    Attributes:
        stack: What it runs.
        app: The module of the ``apps`` directory that it serves.
        directory: Its own temporary directory, named to the app as ``DEMO_DIRECTORY``.
        address: Host and port it listens at.
        pid: The master's process id.
    """

    def __init__(self, stack: Stack, app: str) -> None:
        """Describe the server; it starts on entering the context."""
        self.stack = stack
        self.app = app
        self.directory = Path()
        self.address = ("", 0)
        self.pid = 0
        self._master: subprocess.Popen[bytes] | None = None
        self._at_rest = 0

    def __enter__(self) -> Server:
        """Start the server and wait until a worker answers.

        Raises:
            MissingGunicorn: The wanted version is not there.
            ServerFailed: It did not come up within the deadline.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="hangup-demo-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its directory."""
        self.stop()

    def log(self) -> str:
        """Return everything that the server's processes wrote to standard output and standard error."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_log(self, pattern: str, seconds: float) -> bool:
        """Wait until the log matches the regular expression ``pattern``; returns whether it did."""
        return wait_until(lambda: re.search(pattern, self.log()) is not None, seconds)

    def wait_log_quiet(self, *, still: float = 0.25, seconds: float = 5.0) -> bool:
        """Wait until the log has not grown for ``still`` seconds; returns whether it came to rest."""
        path = self.directory / "log"
        seen, since = path.stat().st_size, time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            here = path.stat().st_size
            if here != seen:
                seen, since = here, time.monotonic()
            return time.monotonic() - since >= still

        return wait_until(quiet, seconds)

    def boots(self) -> int:
        """Return how many workers have been started so far."""
        return len(_BOOTING.findall(self.log()))

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that are alive."""
        return [pid for pid in map(int, _BOOTING.findall(self.log())) if _parent(pid) == self.pid]

    def fds(self, pid: int) -> Census:
        """Return the open descriptors of the server's process ``pid``."""
        return fd_census(pid)

    def sockets_left(self, *, seconds: float = 3.0) -> int:
        """Return how many sockets the workers hold beyond what they held at rest, once clients are gone.

        Waits up to ``seconds`` for them to be closed. A worker that was started later is compared with the
        first.
        """
        left = 0

        def settled() -> bool:
            nonlocal left
            left = sum(max(0, count - self._at_rest) for count in self._sockets().values())
            return left == 0

        wait_until(settled, seconds, every=0.05)
        return left

    def stats(self, *, timeout: float = 5.0) -> dict[str, Any]:
        """Return what a worker says of itself: "pid", "nr_conns" (or None) and "hangup" (or None).

        "nr_conns" includes the connection that asks.

        Raises:
            OSError: The server did not answer.
        """
        connection = HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request("GET", "/_stats", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
        except HTTPException as problem:
            raise ConnectionError(f"no answer to /_stats: {problem!r}") from problem
        finally:
            connection.close()
        told: dict[str, Any] = json.loads(body)
        return told

    def terminate(self) -> None:
        """Ask the master to stop gracefully, without waiting."""
        if self._master is not None and self._master.poll() is None:
            self._master.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop the master (SIGTERM, at a deadline SIGKILL), then any worker left; remove the directory."""
        if self._master is not None:
            workers = self.worker_pids()
            self.terminate()
            try:
                self._master.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                workers = self.worker_pids()
                self._master.kill()
                self._master.wait()
            for pid in workers:
                self._kill(pid)
            self._master = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        with (self.directory / "log").open("wb") as log:
            self._master = subprocess.Popen(
                self.stack.command(self.app),
                cwd=self.directory,
                env=self.stack.environment(self.directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._master.pid
        if not wait_until(lambda: self._exited() or bool(_LISTENING.search(self.log())), _BOOT_SECONDS):
            raise ServerFailed(f"not listening after {_BOOT_SECONDS} s:\n{self.log()}")
        place = _LISTENING.search(self.log())
        if place is None:
            raise ServerFailed(f"gunicorn ended before it listened:\n{self.log()}")
        self.address = (place.group(1), int(place.group(2)))
        if not wait_until(self._answers, _BOOT_SECONDS, every=0.05):
            raise ServerFailed(f"no worker answers:\n{self.log()}")
        self._at_rest = self._rest()

    def _exited(self) -> bool:
        return self._master is None or self._master.poll() is not None

    def _answers(self) -> bool:
        if self._exited():
            raise ServerFailed(f"gunicorn ended while booting:\n{self.log()}")
        try:
            self.stats()
        except OSError:
            return False
        return True

    def _rest(self) -> int:
        """The sockets a worker holds when nobody is connected; the asking connection may still be going."""
        seen, since = -1, time.monotonic()

        def still() -> bool:
            nonlocal seen, since
            here = max(self._sockets().values(), default=0)
            if here != seen:
                seen, since = here, time.monotonic()
            return time.monotonic() - since >= 0.05

        wait_until(still, 1.0)
        return seen

    def _sockets(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for pid in self.worker_pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                counts[pid] = len(self.fds(pid).sockets)
        return counts

    def _kill(self, pid: int) -> None:
        # The number may belong to somebody else by now: only a process of our own session is ended.
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == self.pid:
                os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = status.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)
