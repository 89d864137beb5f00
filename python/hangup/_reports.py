"""What the native core has to say, said in Python's logging.

Called from the native side, attached and without any lock. Each place that closes a connection under its
server is named in one WARNING; every further connection it does that to is counted.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, NamedTuple

logger = logging.getLogger("hangup")

_lock = threading.Lock()


class _Forward(logging.Handler):
    """Hands our records to another logger's handlers, so that they appear where its lines do."""

    def __init__(self, target: logging.Logger) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        self._target.handle(record)


def forward_to(target: logging.Logger) -> None:
    """Shows our lines in ``target``'s log, unless somebody configured a place for them."""
    if not logger.hasHandlers():
        logger.addHandler(_Forward(target))
        if logger.level == logging.NOTSET:
            logger.setLevel(target.getEffectiveLevel())


class Violation(NamedTuple):
    """A place in the application that closed connections which their server then used.

    Attributes:
        closed_by: ``file:line in function``.
        operation: the server's system call that was kept from the kernel.
        connections: how many connections it happened to.
        opened_by: whose connection the first of them was, and since when.
        stack: of that close, innermost last, if ``HANGUP_DEBUG=1`` was set; else empty.
    """

    closed_by: str
    operation: str
    connections: int
    opened_by: str = ""
    stack: str = ""


_places: dict[tuple[str, str], Violation] = {}


def ownership_violation(
    fd: int, place_and_stack: str, operation: str, kind: str, peer: Any, opened: float
) -> None:
    """Counts, and logs the first connection of each place."""
    closed_by, _, stack = place_and_stack.partition("\n")
    key = (closed_by, operation)
    with _lock:
        known = _places.get(key)
        if known is None:
            age = max(time.time() - opened, 0.0)
            opened_by = (
                f"its server, for {peer or 'a client without an address'} ({kind}), {age:.3f} s before"
            )
            known = Violation(closed_by, operation, 0, opened_by, stack)
        _places[key] = known._replace(connections=known.connections + 1)
    if known.connections == 0:
        logger.warning(
            "hangup: the application closed its server's connection (descriptor %d) at %s; the server's %s "
            "was kept from a descriptor that may be another client's by now. Further connections closed "
            "there are counted: hangup.fds.statistics().violations. It was opened by %s%s",
            fd,
            closed_by,
            operation,
            known.opened_by,
            f"; closed here:\n{stack}" if stack else "",
        )


def violations() -> tuple[Violation, ...]:
    """Since the process was started or forked, the most frequent place first."""
    with _lock:
        return tuple(sorted(_places.values(), key=lambda violation: -violation.connections))


def forget() -> None:
    """In a forked child: the parent's violations are the parent's."""
    _places.clear()
