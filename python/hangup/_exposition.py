"""What every exporter shows: names, texts and values, from the table of what is counted.

One table, and three faces: :mod:`.prometheus`, :mod:`.opentelemetry`, and the text of :mod:`.ops`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import _hangup
from .metrics import Family, Histogram

PREFIX = "hangup_"

#: Of one process at this moment: name, text.
GAUGES = {
    "open_descriptors": "Descriptors that hangup owns now.",
    "upgraded_connections": "WebSockets that are open now.",
    "process_open_fds": "Descriptors that the process has open now, whoever owns them.",
    "process_max_fds": "The limit of that: RLIMIT_NOFILE.",
}
WORKERS = "Processes that live and count."
SERVING = "Of these, those that accept clients."


class Described(NamedTuple):
    """A metric without values.

    Attributes:
        name: with the prefix; without ``_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: what is counted, in a sentence.
        labels: their names.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


class Metric(NamedTuple):
    """A metric with its values: by the values of its labels, numbers or :class:`~hangup.metrics.Histogram`."""

    described: Described
    values: list[tuple[tuple[str, ...], Any]]


def described() -> list[Described]:
    """Everything that is exported. A counter that is also counted by label is exported by label only."""
    table = _hangup.metrics_table()
    labelled = {name for name, _, _, labels in table if labels}
    counted = [
        Described(PREFIX + name, kind, text, tuple(label for label, _ in labels))
        for name, kind, text, labels in table
        if labels or name not in labelled
    ]
    gauges = [Described(PREFIX + name, "gauge", text, ("pid",)) for name, text in GAUGES.items()]
    several = [("workers", WORKERS), ("workers_serving", SERVING)]
    return [*counted, *gauges, *(Described(PREFIX + name, "gauge", text, ()) for name, text in several)]


def metrics(family: Family) -> Iterator[Metric]:
    """The values of a family."""
    values: dict[str, list[tuple[tuple[str, ...], Any]]] = {
        "workers": [((), len(family.workers))],
        "workers_serving": [((), len(family.serving))],
    }
    series: dict[str, Any] = {**family.total, **family.histograms}
    for text, value in series.items():
        name, _, labels = text.rstrip("}").partition("{")
        told = tuple(label.partition("=")[2].strip('"') for label in labels.split(",")) if labels else ()
        values.setdefault(name, []).append((told, value))
    for pid, counted in family.workers.items():
        now = {
            "open_descriptors": counted["open"],
            "upgraded_connections": counted["websockets_open"],
            **_descriptors(pid),
        }
        for name, value in now.items():
            values.setdefault(name, []).append(((str(pid),), value))
    for metric in described():
        found = values.get(metric.name[len(PREFIX) :], [])
        yield Metric(metric, [one for one in found if len(one[0]) == len(metric.labels)])


def _descriptors(pid: int) -> dict[str, int]:
    try:
        opened = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/limits") as limits:
            limit = next(line for line in limits if line.startswith("Max open files")).split()[3]
    except (OSError, StopIteration):  # it has left, or is another user's
        return {}
    return {"process_open_fds": opened, **({} if limit == "unlimited" else {"process_max_fds": int(limit)})}


def cumulative(histogram: Histogram) -> list[tuple[str, int]]:
    """Prometheus's buckets: each holds those before it; bounds as Prometheus writes them."""
    so_far, buckets = 0, []
    for bound, count in zip([*map(_number, histogram.bounds), "+Inf"], histogram.counts):
        so_far += count
        buckets.append((bound, so_far))
    return buckets


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)


def text(family: Family) -> str:
    """Prometheus's text format, version 0.0.4."""
    lines = []
    for metric, values in metrics(family):
        name = metric.name + ("_total" if metric.kind == "counter" else "")
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        for labels, value in values:
            told = [f'{label}="{value}"' for label, value in zip(metric.labels, labels)]
            if isinstance(value, Histogram):
                for bound, count in cumulative(value):
                    lines.append(f"{name}_bucket{_braces([*told, f'le={chr(34)}{bound}{chr(34)}'])} {count}")
                lines.append(f"{name}_sum{_braces(told)} {_number(value.sum)}")
                lines.append(f"{name}_count{_braces(told)} {value.number}")
            else:
                lines.append(f"{name}{_braces(told)} {value}")
    return "\n".join(lines) + "\n"


def _braces(labels: list[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def markdown() -> str:
    """The table of ``docs/metrics.md``."""
    lines = ["| metric | labels | what |", "| --- | --- | --- |"]
    for one in described():
        name = one.name + ("_total" if one.kind == "counter" else "")
        kind = "" if one.kind == "counter" else f" ({one.kind})"
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}`{kind} | {labels} | {one.help} |")
    return "\n".join(lines) + "\n"
