"""The fd mutex, by criterion: ``cargo bench -p hangup-core --bench fd_mutex``. Only one thread uses it there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ._machine import cores, pinned
from ._process import ROOT
from ._rows import Bar, Row, skipped

CASES = ("fd-mutex",)

_BAR = Bar(30.0, unit="ns")
_JUDGED = re.compile(r"enter(_lane)? \+ leave(_lane)?$")  # the names of the benchmarks that the bar is for
_LIMIT_SECONDS = 900.0


def measure(_name: str, quick: bool) -> Iterator[Row]:
    """A row for each of the benchmarks; the bar is for a pair of enter and leave, with a lane or without.

    Args:
        quick: measure each for one second instead of five.
    """
    if shutil.which("cargo") is None:
        yield skipped("fd-mutex", "cargo is not installed", _BAR)
        return
    # Compiled first and by all cores, then run on one.
    cargo = ["cargo", "bench", "--quiet", "-p", "hangup-core", "--bench", "fd_mutex"]
    options = ["--noplot", "--measurement-time", "1" if quick else "5"]
    begin = time.time()
    for command in ([*cargo, "--no-run"], pinned(cores()[0], [*cargo, "--", *options])):
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            yield skipped("fd-mutex", f"cargo bench took more than {_LIMIT_SECONDS:.0f} s", _BAR)
            return
        if done.returncode:
            reason = " ".join(done.stderr.split())[-200:]
            yield skipped("fd-mutex", f"cargo bench failed: {reason}", _BAR)
            return
    rows = list(_estimates(_target(), begin))
    yield from rows or [skipped("fd-mutex", "the bench target fd_mutex measures nothing yet", _BAR)]


def _target() -> Path:
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    metadata = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return Path(json.loads(metadata)["target_directory"])


def _estimates(target: Path, since: float) -> Iterator[Row]:
    for path in sorted((target / "criterion").rglob("new/estimates.json")):
        if path.stat().st_mtime < since:
            continue  # of an earlier run
        name = str(path.parents[1].relative_to(target / "criterion"))
        median = json.loads(path.read_text())["median"]
        interval = median["confidence_interval"]
        figures = (interval["lower_bound"], median["point_estimate"], interval["upper_bound"])
        bar = _BAR if _JUDGED.search(name) else None
        yield Row(
            name, "ns", None, figures[1], figures, "ns", bar, "criterion's median and confidence interval"
        )
