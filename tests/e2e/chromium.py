"""A real browser, Chromium, that does what a test says."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from javascript import require_node
from journal_app import JS


class Browser:
    """A Chromium; see ``js/browser.js``."""

    def __init__(self, profile: Path, log: Any) -> None:
        self._process = subprocess.Popen(
            ["node", "browser.js", str(shutil.which("chromium")), str(profile)],
            cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip

    def __call__(self, command: str, argument: Any = "") -> Any:
        """What came of a command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, argument]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the browser has ended"}')
        assert "result" in answer, answer["error"]
        return answer["result"]

    def heard(self, event: str) -> list[Any]:
        """What came with each ``event`` to the client that stays."""
        return [value for name, value in self("evaluate", "heard") if name == event]

    def kill(self) -> None:
        """Chromium's own process, by SIGKILL: no page can say goodbye."""
        [chromium] = _children(self._process.pid)
        os.kill(chromium, signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """All of Chromium stops meanwhile, and its connections stay: a lid that is closed."""
        stopped: list[int] = []
        _stop(_children(self._process.pid), stopped)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def _stop(pids: list[int], stopped: list[int]) -> None:
    """Parents first: what is stopped starts nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)
        _stop(_children(pid), stopped)


@contextlib.contextmanager
def chromium(directory: Path, name: str = "browser") -> Iterator[Browser]:
    """One with a profile of its own; skips the test where there is none."""
    require_node("playwright-core")
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    with (directory / f"{name}.log").open("w") as file:
        browser = Browser(directory / f"{name} profile", file)
    try:
        yield browser
    finally:
        browser.end()
