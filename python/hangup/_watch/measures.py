"""From a look to what is bad and what is good in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from .settings import Settings
from .signals import Look, Worker

#: A symptom, and whose: a worker's, or None for the service.
Key = tuple[str, Optional[int]]


class Measure(NamedTuple):
    """One thing that was looked at.

    Attributes:
        is_bad, is_good: neither, between two thresholds.
        text: what was seen, for people.
    """

    is_bad: bool
    is_good: bool
    text: str


def measures(look: Look, settings: Settings) -> Iterator[tuple[Key, Measure]]:
    """Everything that a look tells; what it does not tell is left out."""
    is_down = not look.is_running and not look.is_starting
    yield ("down", None), Measure(is_down, look.is_running, look.ended or "the master does not run")
    if look.is_running and look.probes:
        yield from _probes(look)
    for worker in look.workers if look.is_running else ():
        for kind, measure in _worker(worker, settings):
            yield (kind, worker.pid), measure
    limits = {"errors": settings.errors_per_minute, "violations": settings.violations_per_minute}
    for rate in look.rates:
        text = f"{rate.per_minute:.0f} {rate.name} a minute" + (
            f", as {rate.example}" if rate.example else ""
        )
        measure = _threshold(rate.per_minute, limits[rate.name], settings.relief, text)
        yield (rate.name, None), measure


def _probes(look: Look) -> Iterator[tuple[Key, Measure]]:
    for kind in ("unanswered", "failing"):
        bad = [probe for probe in look.probes if probe.outcome == kind]
        text = "; ".join(f"{probe.name}: {probe.detail}" for probe in bad)
        yield (kind, None), Measure(bool(bad), not bad, text)


def _worker(worker: Worker, settings: Settings) -> Iterator[tuple[str, Measure]]:
    yield "hung", _hung(worker, settings)
    if worker.limit:
        share = worker.descriptors / worker.limit
        text = f"{worker.descriptors} of {worker.limit} descriptors are open"
        yield "descriptors", _threshold(share, settings.descriptors, settings.relief, text)
    if worker.zombies is not None:
        text = f"{worker.zombies} connections have been silent for {settings.silent_for:g} s"
        yield "zombies", _threshold(worker.zombies, settings.zombies, settings.relief, text)
    if settings.rss:
        text = f"it has {worker.resident / 1e6:.0f} MB of memory"
        yield "memory", _threshold(worker.resident, settings.rss, settings.relief, text)


def _hung(worker: Worker, settings: Settings) -> Measure:
    """A silent control socket alone may be a busy worker's; with late heartbeats it is a hung one's."""
    beat = worker.beat
    deadline = settings.hung_after or 30.0
    is_late = beat is not None and beat >= deadline
    is_silent = worker.answers is False and (beat is None or beat >= deadline / 3)
    if worker.state in "TtDX":
        what = "sleeps uninterruptibly" if worker.state == "D" else "is stopped"
        return Measure(True, False, f"it {what} (state {worker.state})")
    if is_late:
        return Measure(True, False, f"no heartbeat for {beat:.0f} s")
    return Measure(is_silent, not is_silent, "it does not answer its control socket")


def _threshold(value: float, limit: float, relief: float, text: str) -> Measure:
    return Measure(value >= limit, value < limit * relief, text)
