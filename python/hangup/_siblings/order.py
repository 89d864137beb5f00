"""What each worker tells all others, in which order, and how far this one has heard it.

Promised
    A session that moves from one worker to another gets what is told meanwhile once, and in the order in which each
    worker told it.

How
    What a worker tells all others is numbered (:class:`Stamp`). A session leaves with the numbers up to which it was
    served, and whoever takes it in serves it what is beyond. For that, both have to be on one side of a cut through
    what everybody tells: a consistent snapshot (K. M. Chandy and L. Lamport, Distributed Snapshots, 1985). Whoever
    first hears of a cut begins to keep what is told, and marks, to all, how far its own telling is; messages of one
    worker do not overtake each other, so who has the marks of all has heard all that was told before them.

Not promised
    A worker that does not answer within :data:`ANSWER` seconds is left out: what it told just then may be lost to the
    sessions that move.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

#: Seconds for a worker to mark how far it is.
ANSWER = 2.0
#: Bytes that are kept of what is told while sessions move.
KEPT = 64 * 1024 * 1024


class Stamp(NamedTuple):
    """Whose message it is, and the how-many-th that it told all."""

    pid: int
    number: int


class Cut:
    """A cut, and whose marks have come.

    Attributes:
        began: on the monotonic clock.
        marks: those who have marked it, and whether they take sessions in.
        ready: those of them who have the marks of all.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.marks: dict[int, bool] = {}
        self.ready: set[int] = set()
        self._is_told = False

    def is_complete(self, listening: list[int]) -> bool:
        """Whether all others have marked it, or will not."""
        return self.marks.keys() >= set(listening) or time.monotonic() > self.began + ANSWER

    def tells_now(self, listening: list[int]) -> bool:
        """True once: when it is complete, and its maker should be told."""
        if self._is_told or not self.is_complete(listening):
            return False
        self._is_told = True
        return True


class Order:
    """Of what is told: numbers, and what is kept of it. Changed under its manager's lock, or its gate."""

    def __init__(self) -> None:
        self._number = 0
        self._heard: dict[int, int] = {}
        self._kept: list[tuple[Stamp, bytes]] = []
        self._size = 0
        #: By who made them, and its count.
        self.cuts: dict[tuple[int, int], Cut] = {}

    def next_stamp(self) -> Stamp:
        """For a message of this process."""
        self._number += 1
        return Stamp(os.getpid(), self._number)

    def own_mark(self) -> Stamp:
        """The last one."""
        return Stamp(os.getpid(), self._number)

    def hear(self, stamp: Stamp) -> None:
        """Of another process."""
        self._heard[stamp.pid] = stamp.number

    def keep(self, stamp: Stamp, message: bytes) -> None:
        """While sessions may move here."""
        if self.cuts:
            self._size += len(message)
            if self._size <= KEPT:
                self._kept.append((stamp, message))

    @property
    def is_torn(self) -> bool:
        """Whether more was told than is kept."""
        return self._size > KEPT

    def forget(self, cut: tuple[int, int]) -> None:
        """Nobody moves by it any more."""
        self.cuts.pop(cut, None)
        if not self.cuts:
            self._kept, self._size = [], 0

    def served(self) -> dict[int, int]:
        """Up to which number of each worker this one's sessions are served."""
        return {**self._heard, os.getpid(): self._number}

    def has_served(self, numbers: dict[int, int], listening: list[int]) -> bool:
        """Whether this process is as far; those who do not tell any more are not waited for."""
        return all(self._heard.get(pid, 0) >= number for pid, number in numbers.items() if pid in listening)

    def beyond(self, numbers: dict[int, int]) -> list[tuple[Stamp, bytes]]:
        """What was kept that a session served so far has not got."""
        return [kept for kept in self._kept if kept[0].number > numbers.get(kept[0].pid, 0)]
