"""Decisions as lines: for people, and as JSON."""

from __future__ import annotations

import re
import time
from typing import Any, Optional

from .._printable import printable
from .core import Decision
from .ladder import WORDS, Rung
from .signals import Look

_NUMBERS = re.compile(r"\d+(\.\d+)?")


def event(decision: Decision, look: Optional[Look], *, dry_run: bool = False) -> dict[str, Any]:
    """A decision, in what JSON knows."""
    told: dict[str, Any] = {
        "time": stamp(),
        "event": "would" if dry_run and decision.kind == "act" else decision.kind,
        "symptoms": list(decision.symptoms),
        "remedy": decision.rung.name.lower() if decision.rung else None,
        "worker": decision.pid,
        "reasons": [printable(text) for text in decision.reasons],
        "skipped": list(decision.skipped),
        "seconds": round(decision.seconds, 1) if decision.seconds != float("inf") else None,
    }
    if look is not None:
        told["service"] = summary(look)
    return told


def note(text: str, kind: str = "note") -> dict[str, Any]:
    """Something that is not a decision."""
    return {"time": stamp(), "event": kind, "reasons": [printable(text)]}


def summary(look: Look) -> dict[str, Any]:
    """A look in figures."""
    shares = [worker.descriptors / worker.limit for worker in look.workers if worker.limit]
    return {
        "running": look.is_running,
        "workers": len(look.workers),
        "connections": sum(worker.connections or 0 for worker in look.workers),
        "zombies": sum(worker.zombies or 0 for worker in look.workers),
        "descriptors": sum(worker.descriptors for worker in look.workers),
        "descriptors_used": round(max(shares), 3) if shares else None,
        "rss": sum(worker.resident for worker in look.workers),
        "probes": {
            probe.name: {
                "outcome": probe.outcome,
                "detail": printable(probe.detail),
                "seconds": round(probe.seconds, 4),
            }
            for probe in look.probes
        },
        "faults": [printable(fault.text) for fault in look.faults],
    }


def line(told: dict[str, Any]) -> str:
    """An event for people."""
    what = told["event"]
    remedy = told.get("remedy")
    if remedy and what in ("act", "would"):
        rung = Rung[remedy.upper()]
        whom = f"worker {told['worker']}" if told.get("worker") else "the service"
        what = f"{'would ' if what == 'would' else ''}{WORDS[rung]} {whom}"
    parts = [f"{told['time']} {what}"]
    if told.get("symptoms"):
        parts.append(f" [{', '.join(told['symptoms'])}]")
    if told.get("reasons"):
        parts.append(": " + "; ".join(told["reasons"]))
    if told.get("skipped"):
        parts.append(" (left out: " + "; ".join(told["skipped"]) + ")")
    if told["event"] == "recovered" and told.get("seconds") is not None:
        parts.append(f"; it took {told['seconds']:g} s")
    return "".join(parts)


def status(look: Look, last: str) -> str:
    """The line for the service manager."""
    seen = summary(look)
    used = seen["descriptors_used"]
    share = f", descriptors {used:.0%} used" if used is not None else ""
    return (
        f"{seen['connections']} connections, {seen['zombies']} silent, {seen['descriptors']} descriptors open{share}, "
        f"{seen['workers']} workers; {last}"
    )


def likeness(decision: Decision) -> tuple[Any, ...]:
    """What two decisions have in common if the second is not worth a line."""
    reasons = tuple(_NUMBERS.sub("#", text) for text in decision.reasons)
    return decision.kind, decision.symptoms, reasons, decision.skipped


def stamp() -> str:
    """Now, as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
