"""Workers that outlive their master.

They leave when they notice that it is gone, which idle ones do late, and those that hang never; until then they have
its port, and a new master cannot listen there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

from . import processes
from .processes import Process

_LOOKS_EVERY = 0.05
_KILL_TAKES = 5.0


def end(known: Callable[[], Iterable[Process]], graceful: float, told: Callable[[str], None]) -> None:
    """Asks them to leave, waits for that, and kills who has not.

    Args:
        known: who they are; called again and again, since some may come to us later.
        graceful: seconds to leave.
        told: gets what is worth a line.
    """

    def left() -> list[Process]:
        found = {(one.pid, one.started): one for one in known()}
        return [one for one in found.values() if processes.same(one) is not None]

    for orphan in left():
        _send(orphan, signal.SIGTERM)
    if not until(lambda: not left(), graceful):
        for orphan in left():
            told(f"killing worker {orphan.pid}, which outlived its master")
            _send(orphan, signal.SIGKILL)
        until(lambda: not left(), _KILL_TAKES)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for a condition; whether it came to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOKS_EVERY)
    return True


def _send(orphan: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(orphan.pid, number)
