"""Runs deployments, stock and with hangup, and reads their logs."""

from __future__ import annotations

import importlib
import pkgutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

from . import scenarios, tracebacks
from .clients import Refused
from .deployment import Deployment, Outcome
from .environment import Missing
from .service import Failed
from .site import HANGUP, STOCK, Site

NAMES = tuple(found.name.replace("_", "-") for found in pkgutil.iter_modules(scenarios.__path__))

#: What a service that does not do its work makes of a run.
_BROKEN = (Failed, Refused, OSError, websocket.WebSocketException)


@dataclass(frozen=True)
class Row:
    """One deployment, both ways."""

    deployment: Deployment
    stock: Outcome
    hangup: Outcome

    @property
    def reproduced(self) -> bool:
        """Whether this run has shown the complaint on stock."""
        return not self.stock.missing and self.stock.complaints > 0

    def as_json(self) -> dict[str, Any]:
        """For ``-f json``."""
        return {
            "name": self.deployment.name,
            "complaint": self.deployment.complaint,
            "reproduced": self.reproduced,
            STOCK: self.stock.as_json(),
            HANGUP: self.hangup.as_json(),
        }


def deployment(name: str) -> Deployment:
    """The one whose folder in ``examples`` has this name."""
    module = importlib.import_module(f".{name.replace('-', '_')}", scenarios.__name__)
    known: Deployment = module.deployment
    return known


def run(known: Deployment, variant: str, *, quick: bool = False) -> Outcome:
    """One variant: "stock" or "hangup".

    Raises:
        Failed: a service did not start.
    """
    outcome = Outcome()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"hangup-{known.name}-") as directory:
        try:
            with Site(known.name, variant, Path(directory), quick=quick) as site:
                known.play(site, outcome)
                outcome.restarts = site.restarts()
                outcome.provoked = site.provoked
        except Missing as missing:
            outcome.missing = str(missing)
            return outcome
        if site.left:
            outcome.notes.append(f"{site.left} processes outlived the SIGTERM of the one that started them")
        outcome.seconds = time.monotonic() - began
        # After the end: what is written by those that stop belongs to it as well.
        outcome.seen, outcome.tracebacks = tracebacks.count(site.log(), known.provokes)
    return outcome


def both(known: Deployment, *, quick: bool = False) -> Row:
    """Stock first.

    Raises:
        Failed: a service did not start.
    """
    return Row(known, run(known, STOCK, quick=quick), run(known, HANGUP, quick=quick))


def rows(names: Sequence[str], *, quick: bool = False) -> list[Row]:
    """In the order of `NAMES`; a service that does not do its work is what its outcome says."""
    return [_row(deployment(name), quick) for name in NAMES if name in names]


def _row(known: Deployment, quick: bool) -> Row:
    outcomes = []
    for variant in (STOCK, HANGUP):
        try:
            outcomes.append(run(known, variant, quick=quick))
        except _BROKEN as failure:
            outcomes.append(Outcome(missing=f"{type(failure).__name__}: {failure}"))
    return Row(known, *outcomes)
