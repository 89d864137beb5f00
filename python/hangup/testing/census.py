"""Which descriptors a process holds, read from ``/proc``.

Promised: a census is an immutable snapshot; two of them can be subtracted. The descriptor that the reading
itself needs is not listed. Not promised: atomicity. A process that opens and closes while it is read may
show a descriptor that has just gone, so compare censuses of a process that has come to rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, eq=False)
class Census(Mapping[int, str]):
    """The open descriptors of one process: number to target, such as ``{5: "socket:[4711]"}``.

    Attributes:
        pid: The process that was read.
    """

    pid: int
    _entries: Mapping[int, str]

    def __getitem__(self, number: int) -> str:
        """Return the target of descriptor ``number``; KeyError when it was not open."""
        return self._entries[number]

    def __iter__(self) -> Iterator[int]:
        """Iterate over the descriptor numbers, ascending."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many descriptors were open."""
        return len(self._entries)

    def __sub__(self, before: Census) -> CensusDifference:
        """Return what changed since ``before``; a number with a new target counts as closed and opened."""
        return CensusDifference(
            opened=Census(self.pid, _only(self, before)),
            closed=Census(before.pid, _only(before, self)),
        )

    @property
    def sockets(self) -> Census:
        """The part of this census that is sockets."""
        chosen = {number: target for number, target in self.items() if target.startswith("socket:")}
        return Census(self.pid, MappingProxyType(chosen))


@dataclass(frozen=True)
class CensusDifference:
    """What changed between two censuses.

    Attributes:
        opened: Descriptors of the later census that the earlier one lacks.
        closed: Descriptors of the earlier census that the later one lacks.
    """

    opened: Census
    closed: Census

    def __bool__(self) -> bool:
        """Return whether anything changed."""
        return bool(self.opened) or bool(self.closed)


def fd_census(pid: int | None = None) -> Census:
    """Return the open descriptors of ``pid``, or of this process.

    Args:
        pid: The process to read; None for this one.

    Returns:
        A snapshot, ordered by descriptor number.

    Raises:
        FileNotFoundError: There is no such process, or no ``/proc`` (not Linux).
        PermissionError: The process belongs to somebody else.
    """
    owner = os.getpid() if pid is None else pid
    folder = f"/proc/{owner}/fd"
    found: dict[int, str] = {}
    for number in sorted(int(name) for name in os.listdir(folder)):
        try:
            found[number] = os.readlink(f"{folder}/{number}")
        except FileNotFoundError:
            # The listing's own descriptor, or one closed since.
            continue
    return Census(owner, MappingProxyType(found))


def _only(here: Census, there: Census) -> Mapping[int, str]:
    return MappingProxyType({n: target for n, target in here.items() if there.get(n) != target})
