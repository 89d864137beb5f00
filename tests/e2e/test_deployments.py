"""The deployments of ``examples``: the complaint is there on stock, and gone with hangup."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from deployments.runner import NAMES, Row, both, deployment

pytestmark = pytest.mark.deployments

#: Of these, a sample is run each time.
SAMPLED = ("trading",)


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
