"""JavaScript's clients in Node, and the service of ``javascript_app.py`` under a gunicorn."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until
from javascript_app import APP

JS = Path(__file__).resolve().parent / "js"
OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"

#: gunicorn, worker, Socket.IO's model, what it needs, an old python-socketio instead of the installed one.
Stack = tuple[str, str, str, str, bool]


def require_node(package: str = "socket.io-client") -> None:
    """Skips the test if there is no Node, or its packages are not installed."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (JS / "node_modules" / package).is_dir():
        pytest.skip(f"npm's {package} is not installed (make setup)")


class Service:
    """The service, and what it wrote down."""

    def __init__(self, server: Gunicorn, journal: Path) -> None:
        self.server = server
        self._journal = journal

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def journal(self, *words: str) -> list[list[Any]]:
        """What follows ``words`` in each entry that begins with them, in order."""
        if not self._journal.exists():
            return []
        entries = [json.loads(line)[1:] for line in self._journal.read_text().splitlines()]
        return [entry[len(words) :] for entry in entries if entry[: len(words)] == list(words)]

    def left_once(self, *, killed: int = 0) -> bool:
        """Whether each that connected has left, once, but for ``killed`` that could not be told."""
        connects = {sid for (sid,) in self.journal("connect")}
        disconnects = Counter(sid for sid, *_ in self.journal("disconnect"))
        assert set(disconnects.values()) <= {1}, disconnects
        assert disconnects.keys() <= connects
        return len(connects) - len(disconnects) == killed


@contextlib.contextmanager
def serve(directory: Path, stack: Stack, *args: str, **env: str) -> Iterator[Service]:
    """A gunicorn with one guarded worker of the stack, which answers."""
    require_node()
    version, worker, mode, needs, old = stack
    if needs:
        pytest.importorskip(needs)
    pytest.importorskip("socketio")
    if old:
        if not (OLD / "ready").exists():
            pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
        for package in ("socketio", "engineio"):
            (directory / package).symlink_to(OLD / package)
    threads = ["--threads", "4"] if worker == "gthread" else []
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, "--graceful-timeout", "5", *args]
    journal = directory / "journal"
    env = {"MODE": mode, "JS": str(JS), "JOURNAL": str(journal), **env}
    with gunicorn(directory, *chosen, app=APP, version=version, **env) as server:
        facts = server.ask()
        assert (str(directory) in facts["engineio"]) == old
        yield Service(server, journal)


def talk(client: str, url: str, transports: list[str]) -> dict[str, Any]:
    """The report of one conversation (see ``js/conversation.js``)."""
    options = json.dumps({"transports": transports})
    done = subprocess.run(
        ["node", "talk.js", client, url, options], cwd=JS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


class Staying:
    """A client that comes back when its connection ends; see ``js/stay.js``."""

    def __init__(self, url: str, transports: list[str], client: str) -> None:
        options = json.dumps({"transports": transports})
        self._lines: list[list[Any]] = []
        self._process = subprocess.Popen(
            ["node", "stay.js", client, url, options],
            cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(json.loads(line))

    def heard(self, event: str) -> list[Any]:
        """What came with each ``event``."""
        return [value for name, value in self._lines if name == event]

    def wait(self, condition: Callable[[Staying], Optional[bool]], seconds: float = 20) -> None:
        """Waits for a condition on what was heard."""
        assert wait_until(lambda: bool(condition(self)), seconds), self._lines[-20:]

    def end(self) -> None:
        """Has it disconnect, and waits for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()


@contextlib.contextmanager
def staying(url: str, transports: list[str], client: str = "socket.io-client") -> Iterator[Staying]:
    """A :class:`Staying` that hears ticks."""
    client_ = Staying(url, transports, client)
    try:
        client_.wait(lambda it: bool(it.heard("tick")))
        yield client_
    finally:
        client_.end()
