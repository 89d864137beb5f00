"""How a run went over time, as a picture."""

from __future__ import annotations

import os
from typing import Any, Optional

from . import Refused

_ENDINGS = (".png", ".svg")
_SIZE_INCHES = (8, 7)


def require_drawing(path: Optional[str]) -> None:
    """Sees before a run whether its picture can be drawn.

    Raises:
        Refused: it cannot; the message says why.
    """
    if path is None:
        return
    if os.path.splitext(path)[1].lower() not in _ENDINGS:
        raise Refused(f"--plot {path}: ends neither in .png nor in .svg")
    directory = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(directory) or not os.access(directory, os.W_OK):
        raise Refused(f"--plot {path}: cannot be written there")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise Refused("--plot needs an extra: pip install 'hangup[plot]'") from None


def draw(path: str, title: str, timeline: dict[str, Any]) -> None:
    """Draws latency, connections and failures.

    Args:
        path: with the ending of its format.
        title: whose they are.
        timeline: of a report.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    slots = timeline["slots"]
    at = [slot["at"] for slot in slots]
    answered = [slot for slot in slots if slot["answered"]]
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    latency, connections, failures = figure.subplots(3, 1, sharex=True)
    figure.suptitle(title.replace("$", r"\$"))  # no formula
    for name, label in (("p99_us", "99th percentile"), ("p50_us", "median")):
        latency.plot([slot["at"] for slot in answered], [slot[name] / 1e3 for slot in answered], label=label)
    latency.set_ylabel("ms to an answer")
    latency.set_ylim(bottom=0)
    if answered:
        latency.legend(loc="upper left")
    connections.plot(at, [slot["open"] for slot in slots])
    connections.set_ylabel("open connections")
    connections.set_ylim(bottom=0)
    failed = [slot["failed"] for slot in slots]
    failures.bar(at, failed, width=0.2)
    failures.set_ylim(0, 1.05 * max([1, *failed]))
    failures.set_ylabel("failures per 1/4 s")
    failures.set_xlabel("seconds")
    for axes in (latency, connections, failures):
        axes.grid(alpha=0.3)
    figure.savefig(path)
