"""A run from its start to its report, with an eye on how far it is."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple, Optional

from .. import _hangup
from . import Refused

_POLL_SECONDS = 0.2
_STOP_SECONDS = 0.8


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        report: what was counted.
        interrupted: whether somebody did not want to wait for the rest.
    """

    report: dict[str, Any]
    interrupted: bool


def run(plan: dict[str, Any], watch: Optional[Callable[[dict[str, Any]], None]] = None) -> Outcome:
    """Carries a plan out.

    Args:
        plan: what is to be done.
        watch: given what has been counted so far, again and again.

    Raises:
        Refused: the plan is none.
    """
    try:
        load = _hangup.Load(json.dumps(plan))
    except ValueError as error:
        raise Refused(str(error)) from None
    interrupted = False
    try:
        while not load.wait(_POLL_SECONDS):
            if watch is not None:
                watch(json.loads(load.report()))
    except KeyboardInterrupt:
        interrupted = True
        load.stop()
        load.wait(_STOP_SECONDS)
    return Outcome(json.loads(load.report()), interrupted)
