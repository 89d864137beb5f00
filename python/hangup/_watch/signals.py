"""What one look at a service sees. Values only."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Worker(NamedTuple):
    """A worker process.

    Attributes:
        pid: with ``started``, who it is.
        started: clock ticks from the boot to its start.
        state: as in ``/proc/<pid>/stat``.
        beat: seconds since its last heartbeat for gunicorn; None: it has none.
        descriptors, limit: open, and RLIMIT_NOFILE; 0 where they may not be read.
        resident: bytes of memory.
        connections: clients; None: not known.
        zombies: those of them who have been silent beyond the deadline; None: not known.
        answers: whether its control socket answers; None: it has none.
    """

    pid: int
    started: int = 0
    state: str = "S"
    beat: Optional[float] = 0.0
    descriptors: int = 0
    limit: int = 0
    resident: int = 0
    connections: Optional[int] = None
    zombies: Optional[int] = None
    answers: Optional[bool] = None


class Probe(NamedTuple):
    """What asking the service as a client gave.

    Attributes:
        name: what was asked: ``http`` or ``websocket``.
        outcome: ``ok``; ``failing``, an answer that is an error of the server's; ``unanswered``.
        detail: for people.
        seconds: it took.
    """

    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


class Fault(NamedTuple):
    """Something outside of the service that a restart does not mend.

    Attributes:
        kind: ``disk``, ``dependency`` or ``port``.
        text: for people.
    """

    kind: str
    text: str


class Rate(NamedTuple):
    """How often something happens.

    Attributes:
        name: ``errors`` in the log, or ``violations`` that hangup prevented.
        per_minute: in the last minute.
        example: one of them, for people.
    """

    name: str
    per_minute: float
    example: str = ""


class Look(NamedTuple):
    """A service at one moment.

    Attributes:
        at: seconds, of a clock that only goes forward.
        is_running: its master lives and can react.
        is_starting: somebody else is starting it: systemd.
        ended: how the master ended, or what is wrong with it, for people.
        probes: what was asked.
        workers: its workers.
        faults: what is wrong outside.
        rates: what happens again and again.
    """

    at: float
    is_running: bool = True
    is_starting: bool = False
    ended: str = ""
    probes: tuple[Probe, ...] = ()
    workers: tuple[Worker, ...] = ()
    faults: tuple[Fault, ...] = ()
    rates: tuple[Rate, ...] = ()
