"""What is told while a session moves reaches it once, and in order, however messages are delayed."""

from __future__ import annotations

import collections
import itertools
import random
from typing import Any

import pytest
from hangup._siblings import order
from hangup._siblings.order import Cut, Order, Stamp


class Worker:
    """One of several that tell each other things over lines that keep the order, each with a delay of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.order = Order()
        self.lines: dict[int, collections.deque[Any]] = {}
        self.sessions: dict[str, list[tuple[int, int]]] = {}
        self.arrivals: list[Any] = []


class World:
    """Workers 1 to 4; a session of 1 moves to 2, by the cut (1, 1)."""

    CUT = (1, 1)

    def __init__(self, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chance, self._monkeypatch = chance, monkeypatch
        self.workers = {pid: Worker(pid) for pid in range(1, 5)}
        for worker in self.workers.values():
            worker.lines = {pid: collections.deque() for pid in self.workers if pid != worker.pid}
        self.workers[1].sessions["client"] = []
        self.ready = False

    def act_as(self, pid: int) -> Worker:
        self._monkeypatch.setattr(order.os, "getpid", lambda: pid)
        return self.workers[pid]

    def tell(self, pid: int) -> None:
        worker = self.act_as(pid)
        stamp = worker.order.next_stamp()
        worker.order.keep(stamp, b"")
        self.serve(worker, stamp)
        self.send(worker, "told", stamp)

    def serve(self, worker: Worker, stamp: Stamp) -> None:
        for heard in worker.sessions.values():
            heard.append(tuple(stamp))

    def send(self, worker: Worker, *message: Any) -> None:
        for other in self.workers.values():
            if other is not worker:
                other.lines[worker.pid].append(message)

    def mark(self, worker: Worker) -> None:
        if self.CUT not in worker.order.cuts:
            worker.order.cuts[self.CUT] = Cut()
            self.send(worker, "mark", worker.order.own_mark())

    def hear(self, pid: int) -> None:
        """The next message of one of its lines."""
        worker = self.act_as(pid)
        lines = [line for line in worker.lines.values() if line]
        if not lines:
            return
        what, stamp, *more = self.chance.choice(lines).popleft()
        if what == "told":
            worker.order.hear(stamp)
            worker.order.keep(stamp, b"")
            self.serve(worker, stamp)
        elif what == "mark":
            self.mark(worker)
            worker.order.hear(stamp)
            worker.order.cuts[self.CUT].marks[stamp.pid] = True
        elif worker.pid == 2 and what == "session":
            worker.arrivals.append((stamp, *more))
        self.settle(worker)

    def settle(self, worker: Worker) -> None:
        others = [pid for pid in self.workers if pid != worker.pid]
        for served, heard in list(worker.arrivals):
            if worker.order.has_served(served, others):
                worker.arrivals.clear()
                heard += [tuple(stamp) for stamp, _ in worker.order.beyond(served)]
                worker.sessions["client"] = heard
        cuts = [each.order.cuts.get(self.CUT) for each in (self.workers[1], self.workers[2])]
        self.ready = all(cut is not None and len(cut.marks) == len(others) for cut in cuts)

    def move(self) -> None:
        worker = self.act_as(1)
        if self.ready and "client" in worker.sessions:
            heard = worker.sessions.pop("client")
            self.send(worker, "session", worker.order.served(), heard)


@pytest.mark.parametrize("seed", range(60))
def test_a_session_that_moves_gets_everything_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each worker in the order in which it told it."""
    chance = random.Random(seed)
    world = World(chance, monkeypatch)
    begins = chance.randrange(60)
    for step in range(400):
        if step == begins:
            world.mark(world.act_as(1))
        chance.choice([world.tell, world.hear, world.hear, lambda _: world.move()])(chance.randrange(1, 5))
    while any(line for worker in world.workers.values() for line in worker.lines.values()):
        for pid in world.workers:
            world.hear(pid)
        world.move()
    heard = world.workers[2].sessions["client"]
    assert "client" not in world.workers[1].sessions
    for pid, numbers in itertools.groupby(sorted(heard, key=lambda stamp: stamp[0]), lambda stamp: stamp[0]):
        told = world.workers[pid].order.own_mark().number
        assert [number for _, number in numbers] == list(range(1, told + 1))
