"""The deployments of ``examples``: the complaint is there on stock, and gone with hangup."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments.environment import Missing
from deployments.runner import NAMES, Row, both, deployment
from deployments.scenarios import dashboard
from deployments.service import Service
from deployments.site import HANGUP, STOCK, Site
from hangup._demo.server import wait_until

pytestmark = pytest.mark.deployments

#: Of these, a sample is run each time.
SAMPLED = ("dashboard", "trading")


def ran(name: str, *, quick: bool) -> Row:
    """Skips by name what this machine has not."""
    row = both(deployment(name), quick=quick)
    for outcome in (row.stock, row.hangup):
        if outcome.missing:
            pytest.skip(outcome.missing)
    return row


def shortcomings(row: Row) -> Iterator[str]:
    """What is not as promised with hangup, in words."""
    found = row.hangup
    if found.complaints:
        yield f"{found.complaints} {row.deployment.complains}"
    if found.succeeded != found.attempted or not found.attempted:
        yield f"{found.succeeded} of {found.attempted} clients were served: {found.failures}"
    yield from (f"{times} tracebacks: {line}" for line, times in found.tracebacks.items())
    if found.restarts:
        yield f"{found.restarts} workers were restarted"
    yield from (f"hidden: {line}" for line in found.provoked - found.seen)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_sample_shows_the_complaint_on_stock_and_not_with_hangup(name: str) -> None:
    row = ran(name, quick=True)
    assert row.reproduced
    assert list(shortcomings(row)) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_the_complaint_is_there_on_stock_and_gone_with_hangup(name: str) -> None:
    """And every real error that was provoked is in the log, every client served, no worker restarted."""
    row = ran(name, quick=False)
    assert row.reproduced
    assert list(shortcomings(row)) == []


def interrupted_and_aborted(service: Service) -> list[str]:
    """What the dashboard's own hooks have said when a worker was interrupted, and its successor aborted."""

    def said(worker: int, what: str) -> None:
        assert wait_until(lambda: f"worker {worker} {what}" in service.log, 40), service.log

    def after(gone: int) -> int:
        assert wait_until(lambda: max(service.processes()) > gone, 40), service.log
        worker = max(service.processes())
        said(worker, "has its application")
        return worker

    worker = after(service.pid)
    for number, what in ((signal.SIGINT, "was interrupted"), (signal.SIGABRT, "was aborted")):
        os.kill(worker, number)
        said(worker, what)
        said(worker, "is gone")
        worker = after(worker)
    assert not service.stop(), service.log
    hooks = [line.partition("dashboard: ")[2] for line in service.log.splitlines() if "dashboard: " in line]
    return sorted({" ".join(word for word in hook.split() if not word.isdigit()) for hook in hooks})


@pytest.mark.parametrize("variant", [pytest.param(STOCK, marks=pytest.mark.slow), HANGUP])
def test_the_dashboards_own_hooks_all_run(tmp_path: Path, variant: str) -> None:
    """The ones that hangup has as well, and those that it has not."""
    try:
        with Site("dashboard", variant, tmp_path) as site:
            said = interrupted_and_aborted(dashboard.start(site)[0])
    except Missing as missing:
        pytest.skip(str(missing))
    assert said == [
        "ready",
        "starting",
        "worker forked",
        "worker has its application",
        "worker is gone",
        "worker leaves",
        "worker was aborted",
        "worker was interrupted",
    ]
