"""The treatment of one symptom, from its first rung to its end."""

from __future__ import annotations

from typing import Optional

from .ladder import LADDERS, Rung
from .measures import Key, Measure
from .signals import Look, Worker


class Episode:
    """What was tried against a symptom.

    Attributes:
        key: the symptom, and whose.
        began: when.
        index: which rung is next.
        last: which was tried last.
        verified_at: until when that has its time.
        tried: what was tried on which worker.
    """

    def __init__(self, key: Key, look: Look) -> None:
        self.key = key
        self.began = look.at
        self.index = 0
        self.last: Optional[Rung] = None
        self.verified_at = look.at
        self.tried: frozenset[tuple[Rung, int]] = frozenset()
        self._workers = frozenset((worker.pid, worker.started) for worker in look.workers)
        self._has_helped = False

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """Its rungs, from mild to harsh."""
        return LADDERS[self.key[0]]

    def skip(self) -> None:
        """The next rung cannot be had."""
        self.index += 1

    def note_tried(self, rung: Rung, pid: Optional[int], until: float) -> None:
        """A rung is tried on a worker or on the service, and has its time. The last one may be tried again."""
        self.last = rung
        self.wait_until(until)
        if pid is not None:
            self.tried |= {(rung, pid)}
        if rung is not Rung.RESTART:
            self.skip()

    def undo(self, rest: float) -> None:
        """What was tried last was not, and is due again after ``rest`` seconds more."""
        self.index = max(0, self.index - 1)
        self.wait_until(self.verified_at + rest)

    def wait_until(self, at: float) -> None:
        """What was tried last has its time until then."""
        self.verified_at = at

    def notice(self, measure: Optional[Measure]) -> None:
        """Remembers whether it was good for a moment after something had been done."""
        if self.last is not None and measure is not None and measure.is_good:
            self._has_helped = True

    def fell_again(self, look: Look) -> bool:
        """What was started has ended: there is nothing to wait for."""
        return self.last is Rung.RESTART and not look.is_running and not look.is_starting

    def patient(self, rung: Rung, look: Look) -> Optional[Worker]:
        """Whom a rung would treat: the worker that has the symptom; for the service's, the one that looks worst.

        Only who is asked to leave and did not is killed, and nobody is treated who came after the beginning.
        """
        symptom, pid = self.key
        if rung is Rung.KILL:
            asked = {one for tried, one in self.tried if tried is Rung.RECYCLE}
            return next((worker for worker in look.workers if worker.pid in asked), None)
        if pid is not None:
            return next((worker for worker in look.workers if worker.pid == pid), None)
        left = self._untreated(look)
        return max(left, key=_badness) if left and symptom != "down" else None

    def begin_again(self, look: Look) -> bool:
        """With the next worker, if a new one is well where the old ones fail; whether there is one."""
        if self.key[0] != "failing" or not self._has_helped or not self._untreated(look):
            return False
        self.index = 0
        self._has_helped = False
        return True

    def verdict(self) -> tuple[str, ...]:
        """What to say at the end of a ladder that did not help."""
        if not self.ladder:
            return ("a restart would not mend that",)
        if self.last is None:
            return ("nothing can be done about it",)
        if self.key[0] == "failing":
            return ("a new worker fails as the old ones do: a restart would not help",)
        return (f"{self.last.name.lower()} did not help, and nothing harsher is at hand",)

    def _untreated(self, look: Look) -> list[Worker]:
        recycled = {pid for rung, pid in self.tried if rung is Rung.RECYCLE}
        return [
            worker
            for worker in look.workers
            if worker.pid not in recycled and (worker.pid, worker.started) in self._workers
        ]


def _badness(worker: Worker) -> tuple[int, float, float]:
    share = worker.descriptors / worker.limit if worker.limit else 0.0
    return worker.zombies or 0, worker.beat or 0.0, share
