"""Which descriptors hangup owns, and what happened to those it no longer does.

Figures are this process's: a forked worker starts from zero. They are read without stopping anybody,
so figures of one moment may differ by an operation in flight.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from . import _hangup, _reports

Violation = _reports.Violation


class Descriptor(NamedTuple):
    """An owned descriptor.

    Attributes:
        fd: its number.
        kind: ``socket``, ``http``, ``upgraded`` or ``lingering``.
        peer: the client's address as ``getpeername()`` gives it, or None.
        opened: seconds since the epoch.
        closing: the close was asked for, and somebody is still inside.
    """

    fd: int
    kind: str
    peer: Optional[Any]
    opened: float
    closing: bool


class Statistics(NamedTuple):
    """Totals since the process was started or forked, and what is open now.

    ``adopted == closed + detached + stolen + open`` whenever no thread is in between.

    Attributes:
        open: descriptors owned now.
        totals: counts by name, see ``docs/model.md``.
        violations: places that closed connections under their server.
    """

    open: int
    totals: dict[str, int]
    violations: tuple[Violation, ...]


def statistics() -> Statistics:
    """An immutable snapshot of the figures."""
    return Statistics(_hangup.open_descriptors(), _hangup.totals(), _reports.violations())


def snapshot() -> tuple[Descriptor, ...]:
    """The owned descriptors, in the order of their numbers."""
    return tuple(Descriptor(*row) for row in _hangup.snapshot())
