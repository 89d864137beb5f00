"""What appeared in a process, and whose requests ran at the time."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from . import _hangup, _listeners


class Known:
    """An endpoint, and what is known of its requests."""

    __slots__ = ("controls", "is_leaking", "latest", "name", "patience", "requests", "returned")

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests = self.returned = 0
        #: Which of all requests was its last one, so far.
        self.latest = 0
        #: Windows taken at random in which it ran.
        self.controls = 0
        self.is_leaking = False
        #: Survivors that must be exceeded, after a garbage collection closed some.
        self.patience = 0


class Window:
    """A short time, and whose requests ran in it."""

    __slots__ = ("ended", "is_control", "names", "pending", "settled")

    def __init__(self, names: dict[str, int], ended: int = 0, *, is_control: bool = False) -> None:
        #: Endpoints, and the number of their requests by then.
        self.names = names
        #: How many requests ended in it.
        self.ended = ended
        #: It was taken at random, to know what usually runs.
        self.is_control = is_control
        #: Requests that run still.
        self.pending = 0
        #: How many requests had ended when the last of its own had.
        self.settled = 0


class Suspect(NamedTuple):
    """A descriptor that appeared."""

    fd: int
    identity: Any
    window: Window
    since: float


class Survivor(NamedTuple):
    """A descriptor that was left behind."""

    suspect: Suspect
    what: str
    wear: Optional[int]


def is_client(found: Any) -> bool:
    """Whether it is a client: hangup's, or, where it is not hangup that accepts, with its listener's address."""
    if found is None:
        return False
    kind, _, local, _, owned = found
    return owned or bool(local and (kind == "unix" or (kind == "tcp" and _listeners.listens_at(local[1]))))


def survivor_of(suspect: Suspect) -> Optional[Survivor]:
    """None for what is nobody's fault."""
    found = _hangup.describe(suspect.fd)
    if found is None or is_client(found):
        return None
    kind, path, local, remote, _ = found
    name = path if path is not None else remote or local
    what = kind if name is None or kind in ("epoll", "eventfd", "anonymous") else f"{kind} {name}"
    return Survivor(suspect, what.encode("unicode_escape").decode()[:120], _hangup.wear(suspect.fd))


def examples_of(left: list[Survivor]) -> list[str]:
    return sorted({one.what for one in left})[:3]
