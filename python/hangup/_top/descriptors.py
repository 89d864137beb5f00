"""What a process holds open, whoever opened it: the descriptors, and the sockets by their state."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .._logs.text import escape
from ..testing.census import fd_census
from . import processes, sockets


class Held(NamedTuple):
    """What a process has.

    Attributes:
        pid: its number.
        limit: ``RLIMIT_NOFILE``; None if it is not known.
        targets: descriptors, and what they are, as ``/proc`` says.
        tcp: of those that are TCP sockets, what the kernel says.
    """

    pid: int
    limit: Optional[int]
    targets: dict[int, str]
    tcp: dict[int, sockets.Tcp]

    def kinds(self) -> dict[str, int]:
        """How many of each kind, the most frequent first; TCP sockets by their state."""
        kinds = (
            f"tcp {self.tcp[number].state}" if number in self.tcp else _kind(target)
            for number, target in self.targets.items()
        )
        return dict(collections.Counter(kinds).most_common())

    def as_json(self) -> dict[str, object]:
        """In what JSON knows."""
        return {
            "pid": self.pid,
            "open": len(self.targets),
            "limit": self.limit,
            "kinds": self.kinds(),
            "descriptors": [
                {"fd": number, "target": target, **_more(self.tcp.get(number))}
                for number, target in self.targets.items()
            ],
        }


def of(pid: int) -> Held:
    """What a process holds open.

    Raises:
        OSError: there is no such process, or it is somebody else's.
    """
    census = fd_census(pid)
    known = processes.look_at(pid)
    try:
        tcp = {one.fd: one for one in sockets.of(pid)}
    except OSError:  # no sock_diag here, or the process has ended
        tcp = {}
    return Held(pid, None if known is None else known.limit, dict(census.items()), tcp)


def lines(held: Held) -> Iterator[str]:
    """For people."""
    for number, target in held.targets.items():
        tcp = held.tcp.get(number)
        what = escape(target) if tcp is None else f"tcp {tcp.state} {tcp.local} {tcp.remote}"
        yield f"{number:>6}  {what}"
    counts = [f"{count} {kind}" for kind, count in held.kinds().items()]
    limit = f" (limit {held.limit})" if held.limit else ""
    yield ", ".join([f"{len(held.targets)} open", *counts]) + limit


def _kind(target: str) -> str:
    if target.startswith("anon_inode:"):
        return target.partition(":")[2].strip("[]")
    return target.partition(":")[0] if ":[" in target else "file"


def _more(tcp: Optional[sockets.Tcp]) -> dict[str, object]:
    return {} if tcp is None else {"state": tcp.state, "local": tcp.local, "remote": tcp.remote}
