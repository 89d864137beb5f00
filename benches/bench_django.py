"""What ``hangup.django`` and its middleware cost a request of a site that has nothing else to do.

The server is the same on both sides: what it costs to guard gunicorn is in the rows of :mod:`benches.bench_http`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable, NamedTuple

from . import _peers
from ._load import LoadFailed, client_name, load
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped
from ._server import Server
from .bench_http import CONNECTIONS, Plan, Side

_BAR = Bar(0.97, at_least=True)


class Case(NamedTuple):
    """Makes a server of a core and the name of a factory; and that of the site without hangup."""

    server: Callable[[int, str], Process]
    site: str


def _gthread(core: int, site: str) -> Process:
    return Server(True, "gthread", f"benches.django_apps:{site}()", core)


CASES = {
    "django-gthread": Case(_gthread, "wsgi"),
    "django-uvicorn": Case(_peers.django_on_uvicorn, "asgi"),
}

THOROUGH = Plan(rounds=6, pairs=8, seconds=1)
QUICK = Plan(rounds=2, pairs=2, seconds=1)


def measure(name: str, plan: Plan, control: bool = False) -> Iterator[Row]:
    """Two rows for a case: requests per second, and the CPU time of a request.

    Args:
        name: in ``CASES``.
        plan: how long.
        control: compare the site without hangup with itself.
    """
    runs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    try:
        for number in range(plan.rounds):
            runs += _round(CASES[name], plan, control, ours_first=number % 2 == 1)
    except (Unavailable, LoadFailed) as problem:
        yield skipped(name, " ".join(str(problem).split()), _BAR)
        return
    rates, costs = ([(stock[part], ours[part]) for stock, ours in runs] for part in (0, 1))
    yield compared(
        name, "requests/s", rates, _BAR, f"the site with and without the middleware, {client_name()}"
    )
    yield compared(f"{name}, CPU of a request", "us", costs, None)


def _round(
    case: Case, plan: Plan, control: bool, *, ours_first: bool
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Of two that are the same, the one that was started last has been seen to be faster by 7 %."""
    home, away = cores()
    sites = [case.site, case.site if control else f"{case.site}_with_hangup"]
    with contextlib.ExitStack() as running:
        both = [
            Side(running.enter_context(case.server(home, site)), away, plan.seconds)
            for site in (reversed(sites) if ours_first else sites)
        ]
        for side in both:
            load(side.server.port, away, CONNECTIONS, 1)
        stock, ours = reversed(both) if ours_first else both
        for _ in paired(stock.run, ours.run, plan.pairs):
            yield stock.result, ours.result
