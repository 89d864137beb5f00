"""What the native core has to say, said in Python's logging.

Called from the native side, attached and without any lock. Each place that closes a connection under its
server is named in one WARNING; every further connection it does that to is counted.
"""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

logger = logging.getLogger("hangup")

_lock = threading.Lock()
_places: dict[tuple[str, str], int] = {}


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
    """

    closed_by: str
    operation: str
    connections: int


def ownership_violation(fd: int, closed_by: str, operation: str) -> None:
    """Counts, and logs the first connection of each place."""
    key = (closed_by, operation)
    with _lock:
        _places[key] = count = _places.get(key, 0) + 1
    if count == 1:
        logger.warning(
            "hangup: the application closed its server's connection (descriptor %d) at %s; the server's %s "
            "was kept from a descriptor that may be another client's by now. Further connections closed "
            "there are counted: hangup.fds.statistics().violations",
            fd,
            closed_by,
            operation,
        )


def violations() -> tuple[Violation, ...]:
    """Since the process was started or forked, the most frequent place first."""
    with _lock:
        places = sorted(_places.items(), key=lambda item: -item[1])
    return tuple(Violation(closed_by, operation, count) for (closed_by, operation), count in places)


def forget() -> None:
    """In a forked child: the parent's violations are the parent's."""
    _places.clear()
