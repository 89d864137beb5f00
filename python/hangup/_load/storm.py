"""``hangup storm``: how many clients do what, and how the healthy ones beside them fare."""

from __future__ import annotations

import random
from typing import Any, Callable, NamedTuple, Optional

from . import Refused
from .limits import make_room
from .requirements import Requirement, Verdict, share, times, verdicts
from .run import run
from .target import Target

KINDS = {
    "rst": "leaves by a reset",
    "fin": "leaves without a word",
    "half": "says that it sends no more, and stays",
    "silent": "never answers, never leaves",
    "slow": "reads slowly",
    "slowloris": "sends its request byte by byte",
    "burst": "all come at the same moment, and leave at the same moment",
    "reconnect": "all leave at the same moment, and come back",
}
MOMENTS = (
    "before-request",
    "in-head",
    "in-body",
    "before-response",
    "during-response",
    "after-upgrade",
    "mid-frame",
    "during-polling",
)


class Wish(NamedTuple):
    """What is asked of a storm.

    Attributes:
        mix: weights of kinds; empty: all of them, equally.
        moments: when they leave; empty: whenever there is something to leave from.
        clients: at a time.
        rate: of those that leave, a second; 0: as many as can.
        seconds: how long it lasts.
        seed: of what is left to chance; None: a new one.
        jitter: seconds within which reconnecting clients come back.
        wave: seconds between two waves of those that act together.
        drip: seconds between two bytes of a slow request.
        body: bytes of a POST; 0: GET.
        probe: what healthy clients visit; None: nobody watches.
        every: seconds between two of their visits.
        before: seconds of their visits before the storm.
        after: and afterwards.
    """

    mix: dict[str, float] = {}  # noqa: RUF012  never changed
    moments: tuple[str, ...] = ()
    clients: int = 100
    rate: float = 200.0
    seconds: float = 10.0
    seed: Optional[int] = None
    jitter: float = 0.0
    wave: float = 1.0
    drip: float = 0.1
    body: int = 0
    probe: Optional[Target] = None
    every: float = 0.1
    before: float = 2.0
    after: float = 2.0


class Result(NamedTuple):
    """What a storm found.

    Attributes:
        report: as counted.
        seed: with which the same clients come again.
        verdicts: of the requirements, of healthy clients during the storm.
        interrupted: whether it was ended before its time.
    """

    report: dict[str, Any]
    seed: int
    verdicts: list[Verdict]
    interrupted: bool

    @property
    def passed(self) -> bool:
        """Nobody interrupted it, and all requirements are met."""
        return not self.interrupted and all(verdict.met for verdict in self.verdicts)


def storm(
    target: Target,
    wish: Wish,
    required: list[Requirement],
    watch: Optional[Callable[[dict[str, Any]], None]] = None,
) -> Result:
    """Runs it.

    Args:
        target: the server.
        wish: what is asked for.
        required: what has to be, of healthy clients during the storm.
        watch: given what has been counted so far, again and again.

    Raises:
        Refused: it cannot be run.
    """
    make_room(wish.clients)
    seed = random.SystemRandom().getrandbits(32) if wish.seed is None else wish.seed
    if required and wish.probe is None:
        raise Refused("--require is about healthy clients: not with --no-probe")
    plan = {
        "kinds": [{"kind": kind, "clients": n} for kind, n in shares(wish.mix, wish.clients).items()],
        "moments": wish.moments,
        "rate": wish.rate,
        "seconds": wish.seconds,
        "seed": seed,
        "jitter": wish.jitter,
        "wave": wish.wave,
        "drip": wish.drip,
        "body": wish.body,
        "probe": wish.probe
        and {
            "target": wish.probe.plan,
            "every": wish.every,
            "before": wish.before,
            "after": wish.after,
        },
    }
    outcome = run({"target": target.plan, "storm": plan}, watch)
    judged = verdicts(required, found(outcome.report))
    return Result(outcome.report, seed, judged, outcome.interrupted)


def parse_mix(given: tuple[str, ...]) -> dict[str, float]:
    """Weights of kinds.

    Args:
        given: each "KIND" or "KIND=WEIGHT", or several with commas between them.

    Raises:
        Refused: there is no such kind, or a weight is no positive number.
    """
    mix: dict[str, float] = {}
    for part in (part for line in given for part in line.split(",")):
        kind, equals, weight = part.strip().partition("=")
        if kind not in KINDS:
            raise Refused(f"--mix {part!r}: {kind!r} is none of {', '.join(KINDS)}")
        try:
            mix[kind] = float(weight) if equals else 1.0
        except ValueError:
            raise Refused(f"--mix {part!r}: {weight!r} is not a number") from None
        if not 0 < mix[kind] < float("inf"):
            raise Refused(f"--mix {part!r}: a weight is more than 0")
    return mix


def shares(mix: dict[str, float], clients: int) -> dict[str, int]:
    """How many clients each kind has: in proportion, at least one.

    Raises:
        Refused: there are more kinds than clients.
    """
    weights = mix or dict.fromkeys(KINDS, 1.0)
    if clients < len(weights):
        raise Refused(f"{len(weights)} kinds of clients need at least so many clients: --clients, or --mix")
    total, rest = sum(weights.values()), clients - len(weights)
    exact = {kind: rest * weight / total for kind, weight in weights.items()}
    counts = {kind: 1 + int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: int(exact[kind]) - exact[kind])
    for kind in by_remainder[: clients - sum(counts.values())]:
        counts[kind] += 1
    return counts


def found(report: dict[str, Any], phase: str = "during") -> dict[str, Optional[float]]:
    """How healthy clients fared, by the names of requirements."""
    probe = report["probe"].get(phase)
    if probe is None:
        return {}
    return {
        "success": share(probe["succeeded"], probe["visits"]),
        "errors": share(probe["failed"], probe["visits"]),
        **times(probe["latency_us"]),
    }
