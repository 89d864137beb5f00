"""What gunicorn does when sockets are closed from two sides, and what it does with hangup.

Every row is measured by the scenarios of the demonstration, on stock gunicorn first: a defect that stock no
longer shows is a test that proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hangup._demo.scenarios import Measurement
from hangup._demo.scenarios.lingering_close import CAP_SECONDS

Measure = Callable[..., Measurement]

EVERY_VERSION = pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
FROM_24 = pytest.mark.parametrize("version", ["25.3.0", "27.0.1"])
FROM_26 = pytest.mark.parametrize("version", ["27.0.1"])
EVERY_WORKER = pytest.mark.parametrize(
    ("worker", "version"),
    [
        *((worker, "21.2.0") for worker in ("sync", "gthread", "gevent", "gevent_pywsgi", "eventlet")),
        ("eventlet", "25.3.0"),
        *((worker, "27.0.1") for worker in ("sync", "gthread", "gevent", "gevent_pywsgi")),
    ],
)


def assert_quiet(measured: Measurement) -> None:
    """Nothing was logged that looks like a bug, nobody died, and nothing was left open."""
    assert measured.ebadf_lines == 0
    assert measured.tracebacks == 0
    assert measured.worker_deaths == 0
    assert measured.fds_left == 0


@EVERY_VERSION
def test_stock_sends_a_stalled_clients_file_to_the_next_client(measure: Measure, version: str) -> None:
    """Row 1: at least a megabyte of the first client's download arrives at the second client."""
    measured = measure("wrong-client", "stock", version, rounds=1)
    assert measured.foreign_bytes is not None
    assert measured.foreign_bytes >= 1_000_000
    assert measured.dropped_innocents == 1


@EVERY_VERSION
def test_hangup_sends_nothing_of_a_stalled_clients_file_to_the_next_client(
    measure: Measure, version: str
) -> None:
    """Row 1: the second client gets exactly its own response."""
    measured = measure("wrong-client", "hangup", version, rounds=3)
    assert measured.foreign_bytes == 0
    assert measured.dropped_innocents == 0
    assert_quiet(measured)


@EVERY_WORKER
def test_stock_logs_a_traceback_for_each_socket_that_the_application_closed(
    measure: Measure, worker: str, version: str
) -> None:
    """Row 2: EBADF and a traceback, each time."""
    measured = measure("closed-by-app", "stock", version, worker=worker, rounds=20)
    assert measured.extra["taken"] == 20
    assert measured.ebadf_lines is not None
    assert measured.ebadf_lines >= 20
    assert measured.tracebacks == 20


@EVERY_WORKER
def test_hangup_counts_sockets_that_the_application_closed_and_names_the_place(
    measure: Measure, worker: str, version: str
) -> None:
    """Row 2: no EBADF; one ownership violation for each connection, with the file that closed it."""
    measured = measure("closed-by-app", "hangup", version, worker=worker, rounds=20)
    assert measured.extra["taken"] == 20
    assert measured.extra["ownership_violations"] == 20
    assert measured.extra["places"] >= 1
    assert_quiet(measured)


@pytest.mark.slow
@FROM_26
def test_stock_lets_a_fresh_request_wait_for_clients_that_do_not_hang_up(
    measure: Measure, version: str
) -> None:
    """Row 3: with 20 such clients a fresh request waits longer than this test does."""
    measured = measure("lingering-close", "stock", version, rounds=20)
    assert measured.fresh_latency_s == CAP_SECONDS


@FROM_26
def test_hangup_answers_a_fresh_request_beside_clients_that_do_not_hang_up(
    measure: Measure, version: str
) -> None:
    """Row 3: a fresh request takes at most twice as long as on an idle server, in the best of three runs."""
    ratios = []
    for _ in range(3):
        measured = measure("lingering-close", "hangup", version, rounds=20)
        assert_quiet(measured)
        assert measured.fresh_latency_s is not None
        assert measured.idle_latency_s is not None
        ratios.append(measured.fresh_latency_s / measured.idle_latency_s)
        if ratios[-1] <= 2.0:
            break
    assert min(ratios) <= 2.0


@FROM_26
def test_stock_counts_websocket_connections_below_zero(measure: Measure, version: str) -> None:
    """Row 4: nr_conns is negative after 50 sessions."""
    measured = measure("connection-count", "stock", version, rounds=50)
    assert measured.extra["echoed"] == 50
    assert measured.nr_conns_drift is not None
    assert measured.nr_conns_drift < 0


@FROM_26
def test_hangup_counts_websocket_connections_exactly(measure: Measure, version: str) -> None:
    """Row 4: nr_conns is back where it was after 50 sessions."""
    measured = measure("connection-count", "hangup", version, rounds=50)
    assert measured.extra["echoed"] == 50
    assert measured.nr_conns_drift == 0
    assert_quiet(measured)


@EVERY_VERSION
def test_stock_drops_innocent_connections_after_a_parked_one_was_closed(
    measure: Measure, version: str
) -> None:
    """Row 5: connections that did nothing are lost; up to gunicorn 23 with their worker."""
    measured = measure("parked-close", "stock", version, rounds=5)
    assert measured.dropped_innocents is not None
    assert measured.dropped_innocents > 0
    assert measured.worker_deaths is not None
    assert (measured.worker_deaths > 0) == version.startswith("21.")


@EVERY_VERSION
def test_hangup_keeps_innocent_connections_when_parked_ones_are_closed(
    measure: Measure, version: str
) -> None:
    """Row 5: 200 times, no worker dies and nobody is dropped."""
    measured = measure("parked-close", "hangup", version, rounds=200)
    assert measured.extra["parked"] == 200
    assert measured.dropped_innocents == 0
    assert_quiet(measured)


@EVERY_VERSION
def test_stock_worker_dies_with_its_connections_at_the_descriptor_limit(
    measure: Measure, version: str
) -> None:
    """Row 6: the worker ends, and the live connections with it."""
    measured = measure("descriptor-limit", "stock", version, rounds=1)
    assert measured.worker_deaths is not None
    assert measured.worker_deaths >= 1
    assert measured.dropped_innocents is not None
    assert measured.dropped_innocents > measured.extra["live"] / 2


@EVERY_VERSION
def test_hangup_worker_keeps_its_connections_at_the_descriptor_limit(measure: Measure, version: str) -> None:
    """Row 6: live connections are served, new ones again at once after, with one log line per episode."""
    measured = measure("descriptor-limit", "hangup", version, rounds=2)
    assert measured.extra["refused"] > 0
    assert measured.dropped_innocents == 0
    assert measured.recovery_s is not None
    assert measured.recovery_s < 0.5
    # Two episodes in quick succession may count as one.
    assert measured.extra["lines"] == 2
    assert_quiet(measured)


@FROM_24
def test_stock_writes_a_stray_byte_into_a_late_requests_file(measure: Measure, version: str) -> None:
    """Row 7: one of the files that the application wrote has a byte that it did not write."""
    measured = measure("stray-byte", "stock", version, rounds=1)
    assert measured.extra == {"files": 12, "left": 1, "ended": 1}
    assert measured.stray_bytes == 1


@FROM_24
def test_hangup_leaves_a_late_requests_files_intact(measure: Measure, version: str) -> None:
    """Row 7: the files hold what the application wrote."""
    measured = measure("stray-byte", "hangup", version, rounds=1)
    assert measured.extra == {"files": 12, "left": 1, "ended": 1}
    assert measured.stray_bytes == 0
    assert_quiet(measured)


@EVERY_VERSION
def test_stock_writes_an_error_page_into_an_upgraded_connection(measure: Measure, version: str) -> None:
    """Row 8: an HTTP response follows the application's WebSocket frame."""
    measured = measure("own-upgrade", "stock", version, rounds=10)
    assert measured.extra["echoed"] == 10
    assert measured.http_bytes_in_websocket is not None
    assert measured.http_bytes_in_websocket > 0


@EVERY_VERSION
def test_hangup_writes_nothing_into_an_upgraded_connection(measure: Measure, version: str) -> None:
    """Row 8: the stream ends with the application's own frame."""
    measured = measure("own-upgrade", "hangup", version, rounds=10)
    assert measured.extra["echoed"] == 10
    assert measured.http_bytes_in_websocket == 0
    assert_quiet(measured)
