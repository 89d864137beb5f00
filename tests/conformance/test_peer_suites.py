"""The suites of the packages that hangup takes over, from their sdists: each once stock and once with hangup installed.

No test that passes stock fails with hangup, but for what :data:`CANNOT_APPLY` names.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

for package in ("socketio", "flask_socketio", "flask_sock", "simple_websocket"):
    pytest.importorskip(package)

#: Seconds.
DOWNLOAD, PLAY = 120, 150


class Suite(NamedTuple):
    """Tests in the sdist of a package, in the version that is installed."""

    package: str
    tests: str
    #: What they import besides the package, as the package's tox.ini has it.
    needs: tuple[str, ...]
    #: Tests that pass, at least: fewer would compare nothing.
    least: int
    #: Whether they have clients with real sockets.
    has_clients: bool = False


SUITES = [
    Suite("Flask-SocketIO", "test_socketio.py", ("redis",), 40),
    Suite("python-socketio", "tests/common", ("msgpack", "redis", "valkey"), 350, has_clients=True),
    Suite("flask-sock", "tests", (), 3),
    Suite("simple-websocket", "tests", (), 30),
]

#: Pattern of a failure: (why it cannot apply, what its traceback has to contain for that to be the reason).
CANNOT_APPLY = {
    r"tests/common/test_admin\.py::TestAdmin::\w+ \(teardown\)": (
        "compares the number of Python threads before and after; hangup's handler threads wait for the next client",
        "assert self.thread_count == threading.active_count()",
    ),
}


def pip(*args: str) -> None:
    """Skips the test if pip cannot."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD, check=False
        )
    except subprocess.TimeoutExpired as slow:
        pytest.skip(str(slow))
    if done.returncode:
        pytest.skip(f"pip {' '.join(args[:1])}: {done.stderr.strip().rpartition(chr(10))[2]}")


def unpack(package: str, directory: Path) -> Path:
    """The sdist of the installed version."""
    version = importlib.metadata.version(package)
    pip(
        "download",
        "--quiet",
        "--no-binary",
        ":all:",
        "--no-deps",
        "--dest",
        str(directory),
        f"{package}=={version}",
    )
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(directory, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (root,) = (path for path in directory.iterdir() if path.is_dir())
    return root


def play(suite: Suite, root: Path, needs: Path, mode: str) -> dict[str, Any]:
    """Runs the tests in a process of their own, with ``HANGUP=mode``."""
    outcomes = root.parent / f"{mode}.json"
    path = os.pathsep.join([str(HERE), str(needs)])
    environment = {**os.environ, "PYTHONPATH": path, "HANGUP": mode, "HANGUP_OUTCOMES": str(outcomes)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "hangup_installed", "-p", "no:randomly",
         "-p", "no:cacheprovider", "-W", "ignore", "--timeout", "60", suite.tests],
        cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PLAY, check=False,
    )  # fmt: skip
    assert outcomes.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    facts: dict[str, Any] = json.loads(outcomes.read_text())
    return facts


def cannot_apply(failure: str, traceback: str) -> bool:
    return any(
        re.fullmatch(pattern, failure) and said in traceback for pattern, (_, said) in CANNOT_APPLY.items()
    )


@pytest.mark.parametrize("suite", SUITES, ids=[suite.package for suite in SUITES])
def test_what_passes_stock_passes_with_hangup(tmp_path: Path, suite: Suite) -> None:
    """And hangup was there: the service of the tests had clients on native WebSockets."""
    (tmp_path / "sdist").mkdir()
    root = unpack(suite.package, tmp_path / "sdist")
    needs = tmp_path / "needs"
    if suite.needs:
        pip("install", "--quiet", "--no-deps", "--target", str(needs), *suite.needs)
    stock = play(suite, root, needs, "off")
    ours = play(suite, root, needs, "on")
    assert len(stock["passed"]) >= suite.least, stock["failed"]
    worse = {
        failure: traceback
        for failure, traceback in ours["failed"].items()
        if failure not in stock["failed"] and not cannot_apply(failure, traceback)
    }
    assert worse == {}
    excused = {failure.rpartition(" ")[0] for failure in ours["failed"]}
    assert set(stock["passed"]) - set(ours["passed"]) <= excused
    assert ours["status"]["integrations"]["flask_sock"]["state"] == "on"
    assert bool(ours["stats"]["websockets"]) == suite.has_clients
    assert stock["stats"]["websockets"] == 0
