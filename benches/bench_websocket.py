"""WebSockets of Socket.IO services: connections per second, echoes per second, and the slowest of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from . import _peers
from ._load import LoadFailed, hangup_load
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped
from ._server import Server

CLIENTS = 100
CONNECTS = 500
_GRACE_SECONDS = 60
_THREADS = 8


class Case(NamedTuple):
    """A peer, and what is asked of its ratio.

    Attributes:
        app: of ours, in :mod:`benches.socketio_apps`.
        peer: makes the server that it is compared with, of a core.
        connects: of connections per second.
        echoes: of echoes per second.
        slowest: of the 99th percentile of an echo's time.
    """

    app: str
    peer: Callable[[int], Process]
    connects: Optional[Bar] = None
    echoes: Optional[Bar] = None
    slowest: Optional[Bar] = None


def _gthread(core: int) -> Process:
    return _peers.gthread(core, CONNECTS + CLIENTS)


def _at_least(limit: float) -> Bar:
    return Bar(limit, at_least=True)


CASES = {
    "flask-against-gevent": Case("flask", _peers.gevent, _at_least(2), _at_least(3), Bar(1 / 3)),
    "flask-against-gthread": Case("flask", _gthread, None, _at_least(8)),
    "bare-against-uvicorn": Case("bare", _peers.uvicorn, None, _at_least(3)),
    "bare-against-node": Case("bare", _peers.node, None, _at_least(1)),
}


class Plan(NamedTuple):
    """How long to measure: fresh servers each round, ``pairs`` pairs of runs with them."""

    rounds: int
    pairs: int
    seconds: int


THOROUGH = Plan(rounds=2, pairs=5, seconds=3)
QUICK = Plan(rounds=1, pairs=3, seconds=2)


def measure(name: str, plan: Plan, control: bool = False) -> Iterator[Row]:
    """The rows of a case: connections/s, echoes/s, the 99th percentile of an echo, and its CPU time.

    Args:
        name: in ``CASES``.
        plan: how long.
        control: compare hangup with hangup, which shows how far a ratio strays by itself.
    """
    case = CASES[name]
    runs: list[tuple[_Run, _Run]] = []
    try:
        for _ in range(plan.rounds):
            runs += _round(case, plan, control)
    except (Unavailable, LoadFailed) as problem:
        yield skipped(f"echo, {name}", " ".join(str(problem).split()), case.echoes)
        return
    note = f"{CLIENTS} clients that echo, {CONNECTS} that connect; hangup on gthread with {_THREADS} threads"
    yield _row(f"connect, {name}", "connects/s", runs, "connects", case.connects, note)
    yield _row(f"echo, {name}", "echoes/s", runs, "echoes", case.echoes, note)
    yield _row(f"p99 of echo, {name}", "us", runs, "slowest", case.slowest, note)
    yield _row(f"CPU of echo, {name}", "us", runs, "cpu", None, note)


def _row(
    name: str, unit: str, runs: list[tuple[_Run, _Run]], figure: str, bar: Optional[Bar], note: str
) -> Row:
    pairs = [(getattr(peer, figure), getattr(ours, figure)) for peer, ours in runs]
    return compared(name, unit, pairs, bar, note)


class _Run(NamedTuple):
    connects: float
    echoes: float
    slowest: float
    cpu: float


def _round(case: Case, plan: Plan, control: bool) -> list[tuple[_Run, _Run]]:
    home, away = cores()
    ours = Server(True, "gthread", f"benches.socketio_apps:{case.app}()", home, threads=_THREADS)
    theirs = (
        Server(True, "gthread", f"benches.socketio_apps:{case.app}()", home, threads=_THREADS)
        if control
        else case.peer(home)
    )
    with contextlib.ExitStack() as running:
        sides = [_Side(running.enter_context(server), away, plan.seconds) for server in (theirs, ours)]
        for side in sides:
            side.run()
        return [(sides[0].result, sides[1].result) for _ in paired(sides[0].run, sides[1].run, plan.pairs)]


class _Side:
    """One server under load, and what the last run of it gave."""

    def __init__(self, server: Process, core: int, seconds: int) -> None:
        self.result = _Run(0, 0, 0, 0)
        self._server = server
        self._core = core
        self._seconds = seconds

    def run(self) -> float:
        connected = self._load("--clients", str(CONNECTS))
        before = self._server.cpu()
        echoed = self._load("--clients", str(CLIENTS), "--seconds", str(self._seconds))
        self.result = _Run(
            connects=connected["connected"] / connected["connect_seconds"],
            echoes=echoed["echoes"] / echoed["echo_seconds"],
            slowest=echoed["p99_us"],
            cpu=(self._server.cpu() - before) / echoed["echoes"] * 1e6,  # with what its clients' leave costs
        )
        return self.result.echoes

    def _load(self, *arguments: str) -> dict[str, Any]:
        address = f"127.0.0.1:{self._server.port}"
        counted = hangup_load(self._core, self._seconds + _GRACE_SECONDS, address, *arguments)
        if counted["failures"]:
            raise LoadFailed(str(counted))
        self._server.settle()
        return counted
