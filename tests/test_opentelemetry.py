"""The counters as OpenTelemetry's SDK collects them, and as `opentelemetry-instrument` finds them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import hangup
import pytest

sdk = pytest.importorskip("opentelemetry.sdk.metrics")
export = pytest.importorskip("opentelemetry.sdk.metrics.export")
pytest.importorskip("opentelemetry.instrumentation")


@pytest.fixture
def instrumented() -> Iterator[Any]:
    """What reads the metrics of a provider of its own."""
    from hangup.opentelemetry import HangupInstrumentor

    reader = export.InMemoryMetricReader()
    provider = sdk.MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instrumentor = HangupInstrumentor()
    instrumentor.instrument(meter_provider=provider)
    yield reader
    instrumentor.uninstrument()
    assert values(reader) == {}
    provider.shutdown()


def values(reader: Any) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    data = reader.get_metrics_data()
    return {
        metric.name: {
            tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points
        }
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_the_counters_are_those_of_this_process(
    instrumented: Any, pair: tuple[hangup.SafeSocket, socket.socket]
) -> None:
    """Names with a dot behind the first word, labels as attributes, and the same values as stats()."""
    told, stats = values(instrumented), hangup.stats()
    assert told["hangup.adopted"] == {(): stats["adopted"]}
    assert told["hangup.ownership_violations"] == {(): stats["ownership_violations"]}
    assert sum(told["hangup.peer_gone"].values()) == stats["peer_gone"]
    assert (("cause", "reset"), ("stack", "http")) in told["hangup.peer_gone"]
    assert told["hangup.open_descriptors"] == {(("pid", str(os.getpid())),): stats["open"]}
    pair[0].close()
    assert values(instrumented)["hangup.closed"] == {(): stats["closed"] + 1}


def _entry_points() -> Any:
    found: Any = entry_points()
    group = "opentelemetry_instrumentor"
    return found.select(group=group) if hasattr(found, "select") else found.get(group, ())  # before 3.10


def test_it_is_found_by_its_entry_point() -> None:
    """opentelemetry-instrument loads what is named there."""
    found = [one for one in _entry_points() if one.name == "hangup"]
    if not found:
        pytest.skip("hangup was installed before it had an entry point")
    from hangup.opentelemetry import HangupInstrumentor

    assert found[0].load() is HangupInstrumentor
