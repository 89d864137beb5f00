"""Draining workers one after the other, as gunicorn starts others in their place.

Promised
    * A worker is only drained when the place of the one before is taken: by one that answers.
    * Where there is a single worker, gunicorn is asked for a second one (TTIN) until it leaves (TTOU), so that there is
      always one that accepts clients.
    * What is seen of it is told (:class:`Progress`) until all have left, or time was up.

Not promised
    A worker that does not leave in time is left to gunicorn; those behind it are not drained.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from .._control import ControlError, NobodyAnswers, ask
from .._top import processes

#: Seconds from one look to the next.
EVERY = 0.2
#: Seconds behind its deadline for a worker to be gone, and for the next one to answer.
GRACE, BOOT = 12.0, 60.0


class Progress(NamedTuple):
    """What is seen.

    Attributes:
        pid: of the worker that is drained.
        phase: ``drains``, ``left`` (in time), ``late`` (it is there still), ``replaced`` (``by`` answers) or ``alone``
            (nobody took its place in time).
        clients: how many it still has: WebSockets, and sessions that poll.
        seconds: since its drain began.
        by: its successor.
    """

    pid: int
    phase: str
    clients: Optional[int]
    seconds: float
    by: Optional[int] = None


class Master:
    """gunicorn's, as far as draining goes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def workers(self) -> list[int]:
        """Those that live, the oldest first."""
        return processes.workers_of(self.pid)

    def newcomer(self, known: Sequence[int], within: float) -> Optional[int]:
        """A worker that is not among ``known``, as soon as it answers; None if none does in time."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for pid in self.workers():
                if pid not in known and _answers(pid):
                    return pid
            time.sleep(EVERY)
        return None


def drain(
    master: Optional[int], workers: Sequence[int], within: float, spare: bool, **arguments: Any
) -> Iterator[Progress]:
    """Drains workers, one after the other.

    Args:
        master: theirs; None if it is not known, and nobody is waited for.
        workers: their numbers.
        within: seconds for each.
        spare: whether a single worker gets another one beside it first.
        arguments: of the verb: ``code``, ``jitter``, ``reason``.

    Raises:
        ControlError: a worker could not be asked.
    """
    for pid in workers:
        theirs = None if master is None else Master(master)
        known = [] if theirs is None else theirs.workers()
        if theirs is not None and spare and known == [pid]:
            successor = _begin_beside(theirs, pid, within, arguments)
        else:
            successor = None
            ask(pid, "drain", within=within, **arguments)
        last = None
        for last in _watched(pid, within):
            yield last
        if last is None or last.phase == "late":
            return
        if theirs is not None:
            by = successor or theirs.newcomer(known, BOOT)
            yield last._replace(phase="replaced" if by else "alone", by=by)
            if by is None:
                return


def _begin_beside(theirs: Master, pid: int, within: float, arguments: dict[str, Any]) -> int:
    ask(
        pid, "drain", dry_run=True, within=within, **arguments
    )  # before a second worker is started for nothing
    os.kill(theirs.pid, signal.SIGTTIN)
    successor = theirs.newcomer([pid], BOOT)
    if successor is None:
        raise NobodyAnswers(
            f"gunicorn {theirs.pid} was asked for a second worker, and none answers within {BOOT:.0f} s: nobody was "
            f"drained, and it goes on to want two (kill -TTOU {theirs.pid} has it end the oldest)"
        )
    ask(pid, "drain", within=within, **arguments)
    os.kill(theirs.pid, signal.SIGTTOU)  # its oldest one is to go: that is the one which leaves
    return successor


def _watched(pid: int, within: float) -> Iterator[Progress]:
    began = time.monotonic()
    clients: Optional[int] = None
    while processes.is_alive(pid):
        passed = time.monotonic() - began
        if passed > within + GRACE:
            yield Progress(pid, "late", clients, passed)
            return
        with contextlib.suppress(ControlError):  # it is busy, or leaves
            status = ask(pid, "status", timeout=2.0)
            clients = status["websockets"] + status["polling"]
        yield Progress(pid, "drains", clients, passed)
        time.sleep(EVERY)
    passed = time.monotonic() - began
    yield Progress(pid, "left" if passed <= within + 1 else "late", 0, passed)


def _answers(pid: int) -> bool:
    try:
        return ask(pid, "status", timeout=1.0)["draining"] is None
    except ControlError:
        return False
