"""What happened, in this process and in those that serve with it.

Promised
    The totals of a *family*, which is a gunicorn master and its workers, or any process and those forked from it, hold
    what each process counted, once, also what was counted by those that were killed. They can be read at any
    time, from any process of the family or from another one, and do not go down.

How
    The counters are in memory that the processes share; see ``crates/hangup-core/src/metrics/mod.rs``.

Not promised
    Values of one moment: each is read by itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from . import _hangup

__all__ = ["Family", "Histogram", "read"]


class Histogram(NamedTuple):
    """A distribution.

    Attributes:
        bounds: the upper bounds of the buckets, in seconds or bytes as the name says; the last bucket has none.
        counts: how many values are in each bucket alone.
        sum: of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def number(self) -> int:
        """How many values there are."""
        return sum(self.counts)


class Family(NamedTuple):
    """The counters of several processes, by name; labels are part of a name: ``peer_gone{stack="http",cause="reset"}``.

    Attributes:
        total: of all processes, dead or alive; ``open`` and ``websockets_open`` are now.
        workers: of those that live, by their number.
        dead: of those that do not.
        histograms: of all processes, by name.
        serving: those that accept clients, as they say.
        worker_histograms: of those that live, by their number.
    """

    total: dict[str, int]
    workers: dict[int, dict[str, int]]
    dead: dict[str, int]
    histograms: dict[str, Histogram]
    serving: frozenset[int]
    worker_histograms: dict[int, dict[str, Histogram]]


def read(pid: Optional[int] = None) -> Family:
    """The counters of a family.

    Args:
        pid: one of its processes, dead ones excepted; the calling process, if it is None.

    Raises:
        LookupError: the process counts nothing.
        ProcessLookupError, PermissionError: it does not exist, or may not be looked into.
        NotImplementedError: its counters are laid out in a way that this version does not know.
    """
    names, total, dead, processes = _hangup.read_family(pid)
    workers = {number: _with_gauges(_counters(names, values)) for number, _, values in processes}
    totals = _counters(names, total)
    for gauge in _GAUGES:
        totals[gauge] = sum(counted[gauge] for counted in workers.values())
    serving = frozenset(number for number, phase, _ in processes if phase == "serving")
    worker_histograms = {number: _histograms(names, values) for number, _, values in processes}
    return Family(
        totals, workers, _counters(names, dead), _histograms(names, total), serving, worker_histograms
    )


_GAUGES = {
    "open": ("adopted", ("closed", "detached", "stolen")),
    "websockets_open": ("websockets", ("websockets_closed",)),
}


def _with_gauges(counted: dict[str, int]) -> dict[str, int]:
    for gauge, (begun, ended) in _GAUGES.items():
        counted[gauge] = max(0, counted.get(begun, 0) - sum(counted.get(name, 0) for name in ended))
    return counted


_OF_A_HISTOGRAM = re.compile(
    r"(?P<name>\w+)_(?P<what>bucket|sum)(?:\{(?P<labels>.*?),?(?:le=\"(?P<bound>[^\"]+)\")?\})?"
)


def _counters(names: list[str], values: list[int]) -> dict[str, int]:
    return {name: value for name, value in zip(names, values) if not _OF_A_HISTOGRAM.fullmatch(name)}


def _histograms(names: list[str], values: list[int]) -> dict[str, Histogram]:
    found: dict[str, tuple[list[float], list[int]]] = {}
    histograms = {}
    for name, value in zip(names, values):
        part = _OF_A_HISTOGRAM.fullmatch(name)
        if part is None:
            continue
        series = f"{part['name']}{{{part['labels']}}}" if part["labels"] else part["name"]
        bounds, counts = found.setdefault(series, ([], []))
        if part["what"] == "bucket":
            counts.append(value)
            bounds.append(float(part["bound"]))
        else:  # comes last
            scale = 1e9 if part["name"].endswith("_seconds") else 1
            histograms[series] = Histogram(tuple(bounds[:-1]), tuple(counts), value / scale)
    return histograms
