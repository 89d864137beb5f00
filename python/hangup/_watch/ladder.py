"""The remedies, from mild to harsh; which symptom may be treated with which; when one cannot be had."""

from __future__ import annotations

import enum
from typing import NamedTuple, Optional

from .signals import Look, Worker


class Rung(enum.IntEnum):
    """A remedy; a higher one is harsher."""

    CLOSE = 1
    DRAIN = 2
    RECYCLE = 3
    KILL = 4
    RELOAD = 5
    RESTART = 6


#: What each does, for people.
WORDS = {
    Rung.CLOSE: "close the silent connections of",
    Rung.DRAIN: "drain",
    Rung.RECYCLE: "recycle",
    Rung.KILL: "kill",
    Rung.RELOAD: "reload",
    Rung.RESTART: "restart",
}

_WORKER = (Rung.CLOSE, Rung.DRAIN, Rung.RECYCLE, Rung.KILL)

#: By symptom, the most urgent one first. What has no remedy is only told: a restart would not mend it.
LADDERS: dict[str, tuple[Rung, ...]] = {
    "down": (Rung.RESTART,),
    "hung": (Rung.RECYCLE, Rung.KILL),
    "descriptors": _WORKER,
    "unanswered": (Rung.CLOSE, Rung.RECYCLE, Rung.KILL, Rung.RELOAD, Rung.RESTART),
    "zombies": (Rung.CLOSE, Rung.DRAIN, Rung.RECYCLE, Rung.KILL),
    "memory": (Rung.DRAIN, Rung.RECYCLE, Rung.KILL),
    "failing": (Rung.DRAIN, Rung.RECYCLE, Rung.KILL),
    "violations": (),
    "errors": (),
}

#: What is wrong outside, and which symptoms a restart does not mend then.
_IN_VAIN = {
    "disk": frozenset(LADDERS),
    "dependency": frozenset({"unanswered", "failing"}),
    "port": frozenset({"down", "unanswered"}),
}


class Means(NamedTuple):
    """What this watch is able to do.

    Attributes:
        restart: the service can be restarted.
        reload: its master reloads on HUP.
        replace: its master replaces workers that leave.
    """

    restart: bool = True
    reload: bool = True
    replace: bool = True


def in_vain(symptom: str, rung: Rung, look: Look) -> tuple[str, ...]:
    """What is wrong outside, so that ``rung`` would be done in vain. To close what is silent never is."""
    if rung is Rung.CLOSE:
        return ()
    return tuple(fault.text for fault in look.faults if symptom in _IN_VAIN.get(fault.kind, ()))


def objection(
    symptom: str, rung: Rung, patient: Optional[Worker], tried: frozenset[tuple[Rung, int]], means: Means
) -> Optional[str]:
    """Why a rung is left out, or None.

    Args:
        symptom: what is treated.
        rung: with what.
        patient: the worker that would be treated.
        tried: the worker's remedies that were tried in this episode, and on whom.
        means: what this watch is able to do.
    """
    if rung is Rung.RESTART:
        return None if means.restart else "neither a unit nor a --restart-command is known"
    if rung is Rung.RELOAD:
        return None if means.reload else "it is not known to be a gunicorn: HUP might end it"
    if patient is None:
        return (
            "no worker that was asked to leave is left"
            if rung is Rung.KILL
            else "there is no worker to treat"
        )
    if rung is Rung.KILL:
        was_asked = (Rung.RECYCLE, patient.pid) in tried
        return None if was_asked else "no worker was asked to leave"
    if rung is Rung.RECYCLE:
        if not means.replace:
            return "it is not known to be a gunicorn, which replaces workers"
        if symptom == "zombies" and (Rung.DRAIN, patient.pid) not in tried:
            return "it still answers, and its other clients would be dropped"
        return None
    if patient.answers is None:
        return "the worker has no control socket (hangup is not in it)"
    if not patient.answers:
        return "the worker does not answer its control socket"
    if rung is Rung.CLOSE and not patient.zombies:
        return "no connection is silent"
    return None
