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
from expected import CANNOT_APPLY, CANNOT_APPLY_EITHER, SAMPLE  # noqa: E402

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test.test_socket") is None, reason="this Python comes without test.test_socket"
)


def run(*classes: str) -> dict[str, Any]:
    """Runs the classes (or all) in a process of their own."""
    command = [sys.executable, "-W", "ignore", str(HERE / "run.py"), *classes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_a_sample_of_the_stream_cases_passes() -> None:
    """Nothing fails but what cannot apply, and the sockets were SafeSockets."""
    report = run(*SAMPLE)
    assert {name: why for name, why in report["failed"].items() if name not in CANNOT_APPLY} == {}
    assert report["streams"] > 150
    assert report["ran"] - report["skipped"] > 100


@pytest.mark.slow
def test_all_of_it_passes_but_for_what_cannot_apply() -> None:
    """And what cannot apply still does not: the list of exceptions cannot rot."""
    report = run()
    assert set(report["failed"]) - set(CANNOT_APPLY_EITHER) == set(CANNOT_APPLY), report["failed"]
    assert report["streams"] > 500
