"""The counters of this process for OpenTelemetry. ``opentelemetry-instrument`` finds it by itself; by hand::

    hangup.opentelemetry.HangupInstrumentor().instrument(meter_provider=provider)

Promised
    Each process tells its own: its resource says which one it is. In a gunicorn worker call it after the fork, as is
    said of OpenTelemetry's SDK.

    A histogram is three counters, as Prometheus's are: ``_bucket``, by the attribute ``le`` and holding the buckets
    below it as well, ``_sum`` and ``_count``. ``histogram_quantile`` takes them.

Not promised
    What a process counted between its last export and ``kill -9``: :mod:`hangup.prometheus` has it. Data points of the
    type Histogram: no asynchronous instrument makes them, and Python's readers take no ``MetricProducer``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Callable

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.metrics import CallbackOptions, Observation, get_meter_provider

from . import __version__, _exposition
from .metrics import Family, Histogram, read

__all__ = ["HangupInstrumentor"]


class HangupInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Observes the counters of this process, until :meth:`uninstrument`."""

    _observed = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: what is instrumented is hangup itself."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        self._observed = True
        provider = kwargs.get("meter_provider") or get_meter_provider()
        meter = provider.get_meter("hangup", __version__)
        for one in _exposition.described():
            name = one.name.replace("_", ".", 1)
            if one.kind == "histogram":
                for suffix, points in _HISTOGRAM.items():
                    meter.create_observable_counter(
                        name + suffix, callbacks=[self._observing(one, points)], description=one.help
                    )
            elif one.kind == "counter":
                meter.create_observable_counter(
                    name, callbacks=[self._observing(one, _value)], description=one.help
                )
            elif one.labels == ("pid",):
                meter.create_observable_gauge(
                    name, callbacks=[self._observing(one, _value)], description=one.help
                )

    def _uninstrument(self, **kwargs: Any) -> None:
        self._observed = False

    def _observing(self, one: _exposition.Described, points: _Points) -> Any:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for metric, values in _exposition.metrics(_of_this_process()) if self._observed else ():
                if metric == one:
                    for labels, value in values:
                        for more, number in points(value):
                            yield Observation(number, {**dict(zip(one.labels, labels)), **more})

        return observe


#: What is observed of a value: attributes besides its labels, and a number.
_Points = Callable[[Any], Iterable[tuple[dict[str, str], float]]]


def _value(value: float) -> Iterable[tuple[dict[str, str], float]]:
    return [({}, value)]


def _buckets(histogram: Histogram) -> Iterable[tuple[dict[str, str], float]]:
    return [({"le": bound}, count) for bound, count in _exposition.cumulative(histogram)]


_HISTOGRAM: dict[str, _Points] = {
    "_bucket": _buckets,
    "_sum": lambda histogram: _value(histogram.sum),
    "_count": lambda histogram: _value(histogram.number),
}


def _of_this_process() -> Family:
    import os

    family, this = read(), os.getpid()
    own = {pid: counted for pid, counted in family.workers.items() if pid == this}
    return family._replace(
        total=own.get(this, {}), workers=own, histograms=family.worker_histograms.get(this, {})
    )
