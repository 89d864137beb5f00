"""Broadcasts to many WebSockets: how many arrive in a second, what each costs the server, and when the last client has
it."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from . import _peers
from ._load import LoadFailed, hangup_load
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped
from ._server import Server

CLIENTS = 500
#: A row of the cost of a recipient for each, and a point of ``docs/fanout.svg``.
CROWDS = (10, 100, 1_000, 10_000)
COST = "CPU of a recipient among"

_CONNECTS_A_SECOND = 100
_GRACE_SECONDS = 90
_SPARE_DESCRIPTORS = 1_000
_THREADS = 8


class Load(NamedTuple):
    """What the load client does. It has one more client than this, which asks for the broadcasts."""

    clients: int = CLIENTS
    payload: int = 64
    window: int = 8
    stalled: int = 0
    broadcasts: Optional[int] = None
    gives_way: bool = False

    def run(self, server: Process, core: int, seconds: float) -> dict[str, Any]:
        """The client's report.

        Raises:
            LoadFailed: something was missing or came twice. What overtook another is in the report: broadcasts that
                are asked for together may be emitted by handlers that run at the same time.
            Unavailable: there are too few descriptors.
        """
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        crowd = self.clients + self.stalled
        if crowd + _SPARE_DESCRIPTORS > descriptors:
            raise Unavailable(f"{crowd} clients, and {descriptors} descriptors: ulimit -n")
        words = [
            "fanout",
            f"127.0.0.1:{server.port}",
            "--seconds",
            str(seconds),
            "--watch",
            str(server.pid()),
        ]
        for name in ("clients", "payload", "window", "stalled", "broadcasts"):
            if (value := getattr(self, name)) is not None:
                words += [f"--{name}", str(value)]
        limit = seconds + crowd / _CONNECTS_A_SECOND + _GRACE_SECONDS
        report = hangup_load(core, limit, *words, gives_way=self.gives_way)
        if set(report["failures"]) - {"reordered"}:
            raise LoadFailed(f"{report['failures']} of {report['deliveries']} deliveries")
        server.settle()
        return report


class Figure(NamedTuple):
    """What is compared of two reports."""

    name: str
    unit: str
    of: Callable[[dict[str, Any]], float]


RATE = Figure("deliveries", "deliveries/s", lambda report: report["deliveries_per_second"])
CPU = Figure(
    "CPU of a recipient", "us", lambda report: report["server"]["cpu_seconds"] / report["deliveries"] * 1e6
)
LAST = Figure("until the last client has it", "us", lambda report: report["p50_us"])


def ours(core: int, app: str = "flask()") -> Server:
    """Flask-SocketIO on gthread with hangup."""
    return Server(True, "gthread", f"benches.socketio_apps:{app}", core, threads=_THREADS)


class Case(NamedTuple):
    """A peer, what both are asked for, and what of it is judged.

    Attributes:
        peer: makes the server that ours is compared with, of a core.
        load: on ours.
        theirs: on the peer, if it is another.
        host: makes our server.
    """

    peer: Callable[[int], Process]
    load: Load = Load()
    figure: Figure = RATE
    bar: Optional[Bar] = None
    theirs: Optional[Load] = None
    name: str = ""
    host: Callable[[int], Process] = ours


def _workers(core: int) -> Server:
    return Server(
        True, "gthread", "benches.socketio_apps:flask()", core, threads=_THREADS, workers=_peers.WORKERS
    )


def _gthread(core: int) -> Process:
    return _peers.gthread(core, CLIENTS + 20)


def _channels(core: int) -> Process:
    return _peers.channels(core, "hangup", "--ws", "hangup.uvicorn:WebSocketProtocol")


def _at_least(limit: float) -> Bar:
    return Bar(limit, at_least=True)


_KILOBYTE = Load(10_000, payload=1024, window=1)

CASES = {
    "fanout-against-gevent": Case(_peers.gevent, bar=_at_least(10)),
    "fanout-against-gthread": Case(_gthread, bar=_at_least(60)),
    "fanout-against-eventlet": Case(_peers.eventlet),
    "fanout-against-uvicorn": Case(_peers.uvicorn),
    "fanout-against-channels": Case(_peers.channels, Load(1_000), bar=_at_least(5), host=_channels),
    "fanout-against-granian": Case(_peers.granian),
    "fanout-against-node": Case(_peers.node, bar=_at_least(5)),
    "fanout-against-socketioxide": Case(_peers.socketioxide, bar=_at_least(0.8)),
    "fanout-across-workers": Case(_peers.workers_and_redis, bar=_at_least(3), host=_workers),
    "fanout-last-across-workers": Case(
        _peers.workers_and_redis, Load(window=1), LAST, Bar(1 / 3), host=_workers
    ),
    "fanout-cpu": Case(_peers.bare_send, Load(window=1), CPU, Bar(1.3)),
    "fanout-last": Case(_peers.bare_send, _KILOBYTE, LAST, Bar(2.0)),
    "fanout-last-stalled": Case(ours, _KILOBYTE._replace(stalled=100), LAST, Bar(1.1), _KILOBYTE),
    **{
        f"fanout-cost-{crowd}": Case(
            _peers.bare_send, Load(crowd - 1, window=1), CPU, name=f"{COST} {crowd:,}"
        )
        for crowd in CROWDS
    },
}


class Plan(NamedTuple):
    """How long to measure: fresh servers each round, ``pairs`` pairs of runs with them."""

    rounds: int
    pairs: int
    seconds: int


THOROUGH = Plan(rounds=2, pairs=4, seconds=3)
QUICK = Plan(rounds=1, pairs=3, seconds=2)


def measure(name: str, plan: Plan, control: bool = False) -> Iterator[Row]:
    """The row of a case.

    Args:
        name: in ``CASES``.
        plan: how long.
        control: compare hangup with hangup, which shows how far a ratio strays by itself.
    """
    case = CASES[name]
    title = case.name or f"{case.figure.name}, {name}"
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    try:
        for _ in range(plan.rounds):
            runs += _round(case, plan, control)
    except (Unavailable, LoadFailed) as problem:
        yield skipped(title, " ".join(str(problem).split()), case.bar)
        return
    pairs = [(case.figure.of(theirs), case.figure.of(ours)) for theirs, ours in runs]
    yield compared(title, case.figure.unit, pairs, case.bar, _note(case, runs))


def _round(case: Case, plan: Plan, control: bool) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    home, away = cores()
    reports: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as running:
        theirs = running.enter_context(case.host(home) if control else case.peer(home))
        guarded = running.enter_context(case.host(home))

        def run(name: str, server: Process, load: Load) -> float:
            reports[name] = load.run(server, away, plan.seconds)
            return case.figure.of(reports[name])

        def peer() -> float:
            return run("peer", theirs, case.load if control else case.theirs or case.load)

        def hangup() -> float:
            return run("hangup", guarded, case.load)

        peer(), hangup()
        return [(reports["peer"], reports["hangup"]) for _ in paired(peer, hangup, plan.pairs)]


def _note(case: Case, runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    sides = tuple(zip(*runs))
    busy = [max(report["client_cpu_seconds"] / report["seconds"] for report in side) for side in sides]
    overtaken = [sum(report["failures"].get("reordered", 0) for report in side) for side in sides]
    load = case.load
    note = f"{load.clients + 1} recipients, {load.payload} bytes, window {load.window}"
    note += f"; load client busy for at most {busy[0]:.0%} and {busy[1]:.0%}"
    return note + (
        f"; deliveries that overtook others: {overtaken[0]} and {overtaken[1]}" if any(overtaken) else ""
    )
