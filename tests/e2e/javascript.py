"""JavaScript's clients in Node, for the service of ``journal_app.py``."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest
from hangup._demo.server import wait_until
from journal_app import JS


def require_node(package: str = "socket.io-client") -> None:
    """Skips the test if there is no Node, or its packages are not installed."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (JS / "node_modules" / package).is_dir():
        pytest.skip(f"npm's {package} is not installed (make setup)")


def talk(client: str, url: str, transports: list[str]) -> dict[str, Any]:
    """The report of one conversation (see ``js/conversation.js``)."""
    require_node()
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
        require_node()
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
