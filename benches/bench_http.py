"""Requests per second of a real gunicorn, and the CPU time that each takes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from ._load import LoadFailed, client_name, load
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped
from ._server import Server
from .apps import MEGABYTE

CONNECTIONS = 8


class Case(NamedTuple):
    """A worker class and what it serves."""

    app: str
    worker: str
    bar: Optional[Bar]


CASES = {
    "hello-gthread": Case("hello", "gthread", Bar(0.97, at_least=True)),
    "hello-gevent": Case("hello", "gevent", Bar(0.97, at_least=True)),
    "megabyte-gthread": Case("megabyte", "gthread", Bar(1.0, at_least=True)),
    "megabyte-gevent": Case("megabyte", "gevent", Bar(1.0, at_least=True)),
    "file-gthread": Case("megabyte_file", "gthread", None),
    "file-gevent": Case("megabyte_file", "gevent", None),
}


class Plan(NamedTuple):
    """How long to measure: fresh servers each round, ``pairs`` pairs of runs with them."""

    rounds: int
    pairs: int
    seconds: int


# Short runs that alternate: the speed of a shared machine strays by a tenth within seconds.
THOROUGH = Plan(rounds=5, pairs=8, seconds=1)
QUICK = Plan(rounds=3, pairs=2, seconds=1)


def measure(name: str, plan: Plan, version: Optional[str], control: bool = False) -> Iterator[Row]:
    """Two rows for a case: requests per second, and the CPU time of a request.

    Args:
        name: in ``CASES``.
        plan: how long.
        version: of gunicorn; None for the installed one.
        control: compare stock with stock, which shows how far a ratio strays by itself.
    """
    case = CASES[name]
    title = f"{name}, gunicorn {version}" if version else name
    home, away = cores()
    rates: list[tuple[float, float]] = []
    costs: list[tuple[float, float]] = []
    try:
        for number in range(plan.rounds):
            stock, hangup = (
                functools.partial(Server, which, case.worker, f"benches.apps:{case.app}", home, version)
                for which in (False, not control)
            )
            with side_by_side(stock, hangup, plan, away, ours_first=number % 2 == 1) as both:
                _check(*(side.server for side in both), case)
                for _ in paired(both[0].run, both[1].run, plan.pairs):
                    rates.append((both[0].result[0], both[1].result[0]))
                    costs.append((both[0].result[1], both[1].result[1]))
    except (Unavailable, LoadFailed) as problem:
        yield skipped(title, " ".join(str(problem).split()), case.bar)
        return
    note = ", ".join(filter(None, [client_name(), "stock against stock" if control else ""]))
    yield compared(title, "requests/s", rates, case.bar, note)
    yield compared(f"{title}, CPU of a request", "us", costs, None)


@contextlib.contextmanager
def side_by_side(
    stock: Callable[[], Process], ours: Callable[[], Process], plan: Plan, core: int, *, ours_first: bool
) -> Iterator[tuple[Side, Side]]:
    """Two servers that have been under load for a second. Of two that are the same, the one that was started last has
    been seen to be faster by 7 %.

    Args:
        stock: makes a server.
        ours: makes the other one.
        plan: how long to measure.
        core: for the load.
        ours_first: is started.
    """
    with contextlib.ExitStack() as running:
        started = [
            Side(running.enter_context(make()), core, plan.seconds)
            for make in ((ours, stock) if ours_first else (stock, ours))
        ]
        for side in started:
            load(side.server.port, core, CONNECTIONS, 1)
        yield (started[1], started[0]) if ours_first else (started[0], started[1])


class Side:
    """One server under load, and what the last run of it gave: requests/s, and CPU µs of a request."""

    def __init__(self, server: Process, core: int, seconds: int) -> None:
        self.server = server
        self.result = (0.0, 0.0)
        self._core = core
        self._seconds = seconds

    def run(self) -> float:
        before = self.server.cpu()
        answers, took = load(self.server.port, self._core, CONNECTIONS, self._seconds)
        self.result = answers / took, (self.server.cpu() - before) / answers * 1e6
        return self.result[0]


def _check(stock: Process, hangup: Process, case: Case) -> None:
    assert isinstance(stock, Server)
    assert isinstance(hangup, Server)
    body = stock.get()
    if body != hangup.get() or (case.app != "hello") != (len(body) == MEGABYTE):
        raise LoadFailed("the two servers answer differently")
