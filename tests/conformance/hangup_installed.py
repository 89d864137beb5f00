"""A pytest plugin for the suites of other packages: ``-p hangup_installed`` installs hangup before anything is made.

``HANGUP=off`` makes it the stock run. What became of each test goes to the file that ``HANGUP_OUTCOMES`` names.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

for hub in ("eventlet", "gevent"):
    sys.modules[hub] = None  # type: ignore[assignment]  # the suites expect the model "threading"
for framework in ("socketio", "flask_socketio", "flask_sock"):
    importlib.import_module(framework)

import hangup  # noqa: E402

hangup.install()

passed: set[str] = set()
failed: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """A test passes if its call does and its teardown does not fail; failures are listed with their phase."""
    if report.failed:
        failed[f"{report.nodeid} ({report.when})"] = report.longreprtext
        passed.discard(report.nodeid)
    elif report.when == "call" and report.passed:
        passed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    facts = {"passed": sorted(passed), "failed": failed, "status": hangup.status(), "stats": hangup.stats()}
    Path(os.environ["HANGUP_OUTCOMES"]).write_text(json.dumps(facts))
