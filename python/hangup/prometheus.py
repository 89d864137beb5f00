"""The counters of a family for ``prometheus_client``::

    registry = CollectorRegistry()
    MultiProcessCollector(registry)              # if the application has metrics of its own
    hangup.prometheus.Collector(registry=registry)

Promised
    Whichever worker is scraped tells the totals of all, dead ones included. Nothing is written to
    ``PROMETHEUS_MULTIPROC_DIR``, and nothing has to be cleaned up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

import prometheus_client.registry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from . import _exposition
from .metrics import Histogram, read

__all__ = ["Collector"]

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Collector(prometheus_client.registry.Collector):
    """Collects the metrics of a family.

    Args:
        registry: where to register, if anywhere.
        pid: one of the family's processes; the calling process, if it is None.
    """

    def __init__(
        self, registry: Optional[prometheus_client.CollectorRegistry] = None, pid: Optional[int] = None
    ) -> None:
        self._pid = pid
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values: registering reads nothing."""
        return [_FAMILIES[one.kind](one.name, one.help, labels=one.labels) for one in _exposition.described()]

    def collect(self) -> Iterable[Metric]:
        """The metrics with their values."""
        for described, values in _exposition.metrics(read(self._pid)):
            family = _FAMILIES[described.kind](described.name, described.help, labels=described.labels)
            for labels, value in values:
                if isinstance(value, Histogram):
                    family.add_metric(labels, _exposition.cumulative(value), value.sum)
                else:
                    family.add_metric(labels, value)
            yield family
