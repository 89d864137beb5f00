"""CPython's own ``test_socket`` against SafeSocket."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from expected import CANNOT_APPLY, SAMPLE  # noqa: E402

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test.test_socket") is None, reason="this Python comes without test.test_socket"
)


def run(seconds: int, *classes: str) -> dict[str, Any]:
    """Runs the classes (or all) in a process of their own."""
    command = [sys.executable, "-W", "ignore", str(HERE / "run.py"), str(seconds), *classes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def unexpected(report: dict[str, Any]) -> dict[str, str]:
    """What failed, but not for the reason for which it cannot apply."""
    return {
        name: traceback
        for name, traceback in report["failed"].items()
        if name not in CANNOT_APPLY or CANNOT_APPLY[name][1] not in traceback
    }


def test_a_sample_of_the_stream_cases_passes() -> None:
    """Nothing fails but what cannot apply, and the sockets were SafeSockets."""
    report = run(60, *SAMPLE)
    assert unexpected(report) == {}
    assert set(report["passed"]) & set(report["with_streams"])
    assert len(report["passed"]) > 100
    assert report["made"] > 150


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_all_of_it_passes_but_for_what_cannot_apply() -> None:
    """And what cannot apply still does not: the list of exceptions cannot rot."""
    report = run(240)
    assert unexpected(report) == {}
    ran = {*report["passed"], *report["failed"]}
    assert set(report["failed"]) == CANNOT_APPLY.keys() & ran
    assert len(set(report["passed"]) & set(report["with_streams"])) > 250
