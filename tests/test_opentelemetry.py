"""The counters as OpenTelemetry's SDK collects them, and as `opentelemetry-instrument` finds them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import accumulate
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


def test_histograms_are_counted_as_prometheus_counts_them(
    instrumented: Any, pair: tuple[hangup.SafeSocket, socket.socket]
) -> None:
    """Buckets that hold those below them, a sum and a number, of this process: a close is one more in each series."""
    name, stack = "hangup.connection_duration_seconds", ("stack", "socket")
    before, closed = values(instrumented), hangup.stats()["closed"]
    pair[0].close()
    told = values(instrumented)
    grown = hangup.stats()["closed"] - closed
    assert grown == 1
    assert told[f"{name}_count"][(stack,)] - before[f"{name}_count"][(stack,)] == grown
    known = hangup.metrics.read().worker_histograms[os.getpid()]
    for metric in ("connection_duration_seconds", "linger_duration_seconds", "websocket_queue_depth_bytes",
                   "websocket_write_duration_seconds"):  # fmt: skip
        labels, series = ((stack,), '{stack="socket"}') if metric.startswith("connection") else ((), "")
        histogram = known[metric + series]
        assert told[f"hangup.{metric}_count"][labels] == histogram.number
        assert told[f"hangup.{metric}_sum"][labels] == pytest.approx(histogram.sum, rel=1e-12)
        buckets = {
            float(dict(attributes)["le"]): count
            for attributes, count in told[f"hangup.{metric}_bucket"].items()
            if set(labels) <= set(attributes)
        }
        bounds = [*histogram.bounds, float("inf")]
        assert [buckets[bound] for bound in bounds] == list(accumulate(histogram.counts))


def test_the_histograms_of_a_process_are_its_own(instrumented: Any) -> None:
    """Not those of its family, which each process of it would tell again."""
    name = "hangup.connection_duration_seconds_count"
    before = values(instrumented).get(name, {}).get((("stack", "socket"),), 0)
    child = os.fork()
    if not child:
        ours, theirs = socket.socketpair()
        hangup.SafeSocket(ours).close()
        theirs.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert values(instrumented)[name][(("stack", "socket"),)] == before


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
