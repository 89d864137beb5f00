"""One ``emit`` to many, seen from the server: how long its caller waits, for how much of that it holds the interpreter
lock, and what clients that do not read cost in memory."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, NamedTuple

from ._load import LoadFailed
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, skipped
from .bench_fanout import Load, ours

#: Clients of each, and the bar for its caller in microseconds.
CALLERS = {"fanout-caller-500": (500, 300.0), "fanout-caller-10000": (10_000, 5_000.0)}
MEMORY = "fanout-memory"
CASES = (*CALLERS, MEMORY)

MEGABYTE = 1_000_000
#: Bytes that may wait for one client.
BUDGET = 1024 * 1024

_LOCK_BAR = Bar(20.0, unit="%")
_LONG = 600.0
_MEMORY_CLIENTS = 1_000
_STALLED = 10
_MEMORY_BAR = Bar((_STALLED * BUDGET + 20 * MEGABYTE) / MEGABYTE, unit="MB")


class Plan(NamedTuple):
    """How often to measure with a fresh server, and how many broadcasts each time."""

    rounds: int
    timed: int
    counted: int
    large: int


THOROUGH = Plan(rounds=3, timed=100, counted=30, large=1_000)
QUICK = Plan(rounds=1, timed=30, counted=10, large=100)


def measure(name: str, plan: Plan) -> Iterator[Row]:
    """The rows of a case. There is nothing that they are compared with but their bars."""
    try:
        yield from _memory(plan) if name == MEMORY else _caller(name, plan)
    except (Unavailable, LoadFailed) as problem:
        yield skipped(name, " ".join(str(problem).split()))


def _caller(name: str, plan: Plan) -> Iterator[Row]:
    clients, limit = CALLERS[name]
    callers, shares = [], []
    home, away = cores()
    for _ in range(plan.rounds):
        with ours(home, "timed()") as server:
            load = Load(clients, window=1, broadcasts=plan.timed)
            load.run(server, away, _LONG)
            caller = statistics.median(took for took, _ in _get(server, "/times"))
            _get(server, f"/count/{away}")  # no core is without load: there the client can give way
            load._replace(broadcasts=plan.counted, gives_way=True).run(server, away, _LONG)
            held = statistics.median(held for _, held in _get(server, "/times"))
        callers.append(caller * 1e6)
        shares.append(min(held / caller, 1.0) * 100)
    note = f"{clients + 1} recipients, 64 bytes, window 1"
    yield _row(f"caller of an emit, {name}", "us", callers, Bar(limit, unit="us"), note)
    yield _row(
        f"interpreter lock held, {name}", "%", shares, _LOCK_BAR, f"{note}; share of the caller's time"
    )


def _memory(plan: Plan) -> Iterator[Row]:
    home, away = cores()
    load = Load(_MEMORY_CLIENTS - _STALLED - 1, payload=64 * 1024, stalled=_STALLED, broadcasts=plan.large)
    grown = []
    for _ in range(plan.rounds):
        with ours(home, f"budgeted({BUDGET})") as server:
            memory = load.run(server, away, _LONG)["server"]
            grown.append((memory["resident_at_most"] - memory["resident_before"]) / MEGABYTE)
    note = f"{plan.large} broadcasts of 64 KiB to {_MEMORY_CLIENTS} clients, of which {_STALLED} do not read"
    yield _row(f"memory, {MEMORY}", "MB", grown, _MEMORY_BAR, note)


def _row(name: str, unit: str, figures: list[float], bar: Bar, note: str) -> Row:
    return Row(name, unit, None, statistics.median(figures), tuple(figures), unit, bar, note)


def _get(server: Process, path: str) -> Any:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", path)
        body = connection.getresponse().read()
    finally:
        connection.close()
    return json.loads(body)
