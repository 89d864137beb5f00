"""A gunicorn with one worker, on one core. "stock" and "hangup" differ in one command line option."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional

from ._machine import pinned

ROOT = Path(__file__).resolve().parents[1]

_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:([0-9]+)")
_GUARDING = "hangup: guarding the connections of"
_BOOT_SECONDS = 20.0
_STOP_SECONDS = 5.0
_THREADS = 4


class Unavailable(Exception):
    """What a row needs is not there; the message says what, and how to get it."""


def gunicorn_path(version: Optional[str]) -> list[str]:
    """The directory to put first on the server's path; none for the installed gunicorn.

    Raises:
        Unavailable: that version was not unpacked.
    """
    if version is None:
        return []
    home = ROOT / ".gunicorn" / version
    if not (home / "gunicorn").is_dir():
        raise Unavailable(f"gunicorn {version}: pip install --no-deps --target {home} gunicorn=={version}")
    return [str(home)]


class Server:
    """Use as a context manager.

    Args:
        guarded: whether hangup's configuration is used.
        worker: as for ``-k``.
        app: a name in :mod:`benches.apps`.
        core: for all its processes.
        version: of gunicorn; None for the installed one.

    Attributes:
        port: it listens at, on 127.0.0.1.
    """

    def __init__(self, guarded: bool, worker: str, app: str, core: int, version: Optional[str]) -> None:
        self._path = gunicorn_path(version)
        self._guarded = guarded
        self._home = tempfile.TemporaryDirectory(prefix="hangup-bench-")
        words = ["-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "--graceful-timeout", "1"]
        if guarded:
            words += ["-c", "python:hangup.gunicorn"]
        if worker == "gthread":
            words += ["--threads", str(_THREADS)]
        self._command = pinned(core, [sys.executable, *words, f"benches.apps:{app}"])
        self.port = 0

    def __enter__(self) -> Server:
        log = Path(self._home.name) / "log"
        with log.open("wb") as sink:
            self._master = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment(),
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            self._until(lambda: _LISTENING.search(log.read_text()) is not None, log)
            found = _LISTENING.search(log.read_text())
            assert found is not None
            self.port = int(found.group(1))
            self._until(self._answers, log)
            if (_GUARDING in log.read_text()) != self._guarded:
                raise Unavailable(f"guarded: {not self._guarded}, which is not what was asked for")
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

    def worker(self) -> int:
        """The process id of the worker."""
        master = self._master.pid
        return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])

    def cpu(self) -> float:
        """Seconds for which the worker's threads have been on a CPU. Those that ended are not counted."""
        total = 0
        for task in Path(f"/proc/{self.worker()}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ends just now
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def get(self) -> bytes:
        """The body of one answer.

        Raises:
            OSError: nobody answers yet.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return bool(self.get())
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        unwanted = (
            "GUNICORN_CMD_ARGS",
            "HANGUP",
            "XDG_RUNTIME_DIR",
            "PYTHONDONTWRITEBYTECODE",
            "WEB_CONCURRENCY",
        )
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        path = [*self._path, *filter(None, [kept.get("PYTHONPATH")])]
        # HOME: gunicorn's control socket goes below it, and two servers must not share one.
        own = {"HOME": self._home.name, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(path)}
        return {**kept, **own, "PYTHONUNBUFFERED": "1"}

    def _until(self, condition: Callable[[], bool], log: Path) -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        while not condition():
            if self._master.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"gunicorn did not start: {log.read_text()[-600:]}")
            time.sleep(0.02)
