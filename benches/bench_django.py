"""What ``hangup.django`` and its middleware cost a request of a site that has nothing else to do.

The server is the same on both sides: what it costs to guard gunicorn is in the rows of :mod:`benches.bench_http`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Callable, NamedTuple

from . import _peers
from ._load import LoadFailed, client_name
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped
from ._server import Server
from .bench_http import Plan, side_by_side

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
    home, away = cores()
    runs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    try:
        for number in range(plan.rounds):
            case = CASES[name]
            stock, ours = (
                functools.partial(case.server, home, site)
                for site in (case.site, case.site if control else f"{case.site}_with_hangup")
            )
            with side_by_side(stock, ours, plan, away, ours_first=number % 2 == 1) as both:
                for _ in paired(both[0].run, both[1].run, plan.pairs):
                    runs.append((both[0].result, both[1].result))
    except (Unavailable, LoadFailed) as problem:
        yield skipped(name, " ".join(str(problem).split()), _BAR)
        return
    rates, costs = ([(stock[part], ours[part]) for stock, ours in runs] for part in (0, 1))
    yield compared(
        name, "requests/s", rates, _BAR, f"the site with and without the middleware, {client_name()}"
    )
    yield compared(f"{name}, CPU of a request", "us", costs, None)
