"""What a deployment is, and what one run of it has shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .service import Holding
from .site import Site

_PORT = re.compile(r"(?<=\d:)\d{4,5}|port=\d+")


@dataclass
class Outcome:
    """What one run of a variant has shown.

    Attributes:
        attempted: conversations of well-behaved clients, and
        succeeded: those that got all they asked for.
        complaints: how often what users complain about was seen: in the log, or by clients.
        tracebacks: in the logs, by the line of the exception, without those of provoked errors.
        restarts: workers that were started after the service was up.
        provoked: real errors, by the line of the exception, and
        seen: how many of each stand in the log.
        before: what the services held when the first client had come and gone.
        after: the same when the last one had.
        failures: what clients that were not served got instead.
        seconds: that the run took, with its start and its end.
        notes: what else is worth a reader's attention.
        missing: why it did not run, if it did not.
    """

    attempted: int = 0
    succeeded: int = 0
    complaints: int = 0
    tracebacks: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    provoked: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    before: Holding = field(default_factory=Holding)
    after: Holding = field(default_factory=Holding)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    missing: str = ""

    @property
    def success(self) -> float:
        """The share of conversations that succeeded, in percent."""
        return 100.0 * self.succeeded / self.attempted if self.attempted else 0.0

    @property
    def hidden(self) -> int:
        """How many real errors do not stand in the log."""
        return sum((self.provoked - self.seen).values())

    @property
    def on_target(self) -> bool:
        """Nothing of the complaint, nobody refused, no traceback, no restart, nothing hidden."""
        wrong = (self.complaints, sum(self.tracebacks.values()), self.restarts, self.hidden, self.missing)
        return self.attempted > 0 and self.succeeded == self.attempted and not any(wrong)

    def tally(self, results: Sequence[BaseException | None]) -> None:
        """Adds conversations: None for each that succeeded, what it failed with for the others."""
        self.attempted += len(results)
        self.succeeded += sum(result is None for result in results)
        for result in results:
            if result is not None:
                self.failures[_PORT.sub("", f"{type(result).__name__}: {result}")[:120]] += 1

    def as_json(self) -> dict[str, Any]:
        """For ``-f json``."""
        plain = {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }
        holdings = {"before": asdict(self.before), "after": asdict(self.after)}
        derived = {
            "success": round(self.success, 2),
            "seconds": round(self.seconds, 1),
            "hidden": self.hidden,
            "on_target": self.on_target,
        }
        return {**plain, **holdings, **derived}


@dataclass(frozen=True)
class Deployment:
    """One of the five.

    Attributes:
        name: the folder in ``examples``.
        complaint: in its users' words.
        complains: what one complaint is, for the table: "KeyErrors", "refused connections".
        provokes: how the lines of its real errors begin: what `Site.provoke` is told.
        play: starts the services of a site, plays the clients, and fills the outcome's counts of clients,
            complaints, provoked errors and holdings. The rest is read from the logs afterwards.
    """

    name: str
    complaint: str
    complains: str
    provokes: tuple[str, ...]
    play: Callable[[Site, Outcome], None]
