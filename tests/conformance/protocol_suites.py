"""The official test suites of the Socket.IO and Engine.IO protocols: where they come from, and how they are run.

They are JavaScript, with mocha. ``HANGUP_PROTOCOL_SUITES`` names a directory that has their repositories next to each
other; without it they are cloned into ``.suites`` by the slow run, if the network lets it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CLONES = Path(__file__).resolve().parents[2] / ".suites"
#: Seconds.
CLONE, INSTALL, PLAY = 30, 120, 100

NODE = shutil.which("node")
NPM = shutil.which("npm")


class Suite(NamedTuple):
    """A repository with a folder ``test-suite``."""

    name: str
    #: On socket.io-protocol's main branch a suite loses what comes in one segment with what it waits for.
    branch: str


SUITES = {
    "socket.io": Suite("socket.io-protocol", "fix/waitfor"),
    "engine.io": Suite("engine.io-protocol", "main"),
}


class Outcome(NamedTuple):
    """What became of the cases, by their full titles."""

    passed: set[str]
    failed: dict[str, str]


def prepare(name: str, directory: Path, *, may_clone: bool) -> Path:
    """A copy of the suite that is ready to run; skips the test if there is none to be had."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not installed")
    suite = SUITES[name]
    given = os.environ.get("HANGUP_PROTOCOL_SUITES")
    home = Path(given) if given else CLONES
    if not (home / suite.name / "test-suite").is_dir():
        if given:
            pytest.skip(f"HANGUP_PROTOCOL_SUITES has no {suite.name}/test-suite")
        if not may_clone:
            pytest.skip(f"{suite.name} is not here: name it in HANGUP_PROTOCOL_SUITES, or make conformance")
        _clone(suite)
    copy = directory / suite.name
    shutil.copytree(home / suite.name / "test-suite", copy, symlinks=True)
    if not (copy / "node_modules").is_dir():
        _install(copy)
    return copy


def _clone(suite: Suite) -> None:
    url = f"https://github.com/socketio/{suite.name}"
    unfinished = CLONES / f"{suite.name}.{os.getpid()}"
    command = ["git", "clone", "--quiet", "--depth", "1", "--branch", suite.branch, url, str(unfinished)]
    if failure := _failure(command, CLONE, GIT_TERMINAL_PROMPT="0"):
        shutil.rmtree(unfinished, ignore_errors=True)
        pytest.skip(f"{url} cannot be cloned: {failure}")
    _install(unfinished / "test-suite")
    unfinished.rename(CLONES / suite.name)


def _install(directory: Path) -> None:
    command = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(directory)]
    if failure := _failure(command, INSTALL):
        pytest.skip(f"npm cannot install what the suite needs: {failure}")


def _failure(command: list[str], seconds: float, **env: str) -> str:
    """Why a command failed; empty if it did not."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        return str(error)
    return done.stderr.strip().rpartition("\n")[2] or str(done.returncode) if done.returncode else ""


def play(suite: Path, port: int, only: str = "") -> Outcome:
    """Plays the cases whose titles contain ``only`` to the server at ``port``."""
    source = (suite / "test-suite.js").read_text()
    assert source.count('"http://localhost:3000"') == 1
    script = suite / f"test-suite-{port}.js"
    script.write_text(source.replace('"http://localhost:3000"', f'"http://127.0.0.1:{port}"'))
    done = subprocess.run(
        [str(NODE), "node_modules/mocha/bin/mocha", "--reporter", "json", "--exit", "--fgrep", only, script.name],
        cwd=suite, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PLAY, check=False,
    )  # fmt: skip
    assert "{" in done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    failed = {case["fullTitle"]: str(case["err"].get("message")) for case in report["failures"]}
    # A case that failed after its end is in both lists.
    return Outcome({case["fullTitle"] for case in report["passes"]} - failed.keys(), failed)
