"""The counters of this process for OpenTelemetry. ``opentelemetry-instrument`` finds it by itself; by hand::

    hangup.opentelemetry.HangupInstrumentor().instrument(meter_provider=provider)

Promised
    Each process tells its own: its resource says which one it is. In a gunicorn worker call it after the fork, as is
    said of OpenTelemetry's SDK.

Not promised
    What a process counted between its last export and ``kill -9``: :mod:`hangup.prometheus` has it. Histograms: there
    is no instrument that takes a distribution from elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.metrics import CallbackOptions, Observation, get_meter_provider

from . import __version__, _exposition
from .metrics import Family, read

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
            if one.kind == "counter":
                create = meter.create_observable_counter
            elif one.labels == ("pid",):
                create = meter.create_observable_gauge
            else:
                continue
            create(one.name.replace("_", ".", 1), callbacks=[self._observing(one)], description=one.help)

    def _uninstrument(self, **kwargs: Any) -> None:
        self._observed = False

    def _observing(self, one: _exposition.Described) -> Any:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for metric, values in _exposition.metrics(_of_this_process()) if self._observed else ():
                if metric == one:
                    for labels, value in values:
                        yield Observation(value, dict(zip(one.labels, labels)))

        return observe


def _of_this_process() -> Family:
    import os

    family = read()
    own = {pid: counted for pid, counted in family.workers.items() if pid == os.getpid()}
    return family._replace(total=own.get(os.getpid(), {}), workers=own, histograms={})
