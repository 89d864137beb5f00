"""Which descriptors are open, whose they are, what happened to those that are not, and when there will be none left.

Figures are this process's: a forked worker starts from zero. They are read without stopping anybody,
so figures of one moment may differ by an operation in flight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional, Union, overload

from . import _endpoints, _hangup, _leaks, _reports, _sessions
from ._endpoints import Endpoint
from ._headroom import Breach, Watch
from ._headroom import watch as watch
from ._leaks import Leak

__all__ = [
    "Breach",
    "Census",
    "Departed",
    "Descriptor",
    "Endpoint",
    "Entry",
    "Leak",
    "Statistics",
    "Tcp",
    "Violation",
    "Watch",
    "census",
    "endpoints",
    "leaks",
    "recent",
    "snapshot",
    "statistics",
    "watch",
]

Violation = _reports.Violation


class Tcp(NamedTuple):
    """What the kernel knows of a TCP connection (``TCP_INFO``).

    Attributes:
        state: as ``ss`` names it, in lower case: ``established``, ``close_wait`` ...
        rtt: seconds to the peer and back, smoothed.
        unacked: segments sent and not acknowledged; of a listener, clients that wait to be accepted.
        notsent: bytes that the kernel has and did not send.
        silent: seconds since anything was heard of the peer.
    """

    state: str
    rtt: float
    unacked: int
    notsent: int
    silent: float


class Descriptor(NamedTuple):
    """A descriptor of hangup's. Times are in seconds since the epoch, to a few milliseconds.

    Attributes:
        fd: its number.
        kind: ``socket``, ``http``, ``upgraded``, ``websocket`` or ``lingering``; ``arriving``: accepted, and
        its request
            is not there; ``handed_off``: detached, and its server's poller may still know the number; ``listener``,
            ``epoll``, ``eventfd`` or ``timerfd`` of hangup's own.
        peer: the client's address as ``getpeername()`` gave it, or None.
        opened: when hangup took it over.
        closing: the close was asked for, and somebody is still inside.
        last_read: when something last came, or its end was read; None for never.
        last_write: when something was last sent.
        received: bytes.
        sent: bytes.
        queued: bytes that wait to be sent, and that the kernel does not have yet.
        tcp: None for what does not speak TCP.
        sid: of its Engine.IO session.
        sids: of its Socket.IO clients, by namespace.
        rooms: they are in, each with its namespace.
    """

    fd: int
    kind: str
    peer: Optional[Any]
    opened: float
    closing: bool
    last_read: Optional[float] = None
    last_write: Optional[float] = None
    received: int = 0
    sent: int = 0
    queued: int = 0
    tcp: Optional[Tcp] = None
    sid: Optional[str] = None
    sids: tuple[tuple[str, str], ...] = ()
    rooms: tuple[tuple[str, Any], ...] = ()


class Departed(NamedTuple):
    """A descriptor that hangup owned. Times as in :class:`Descriptor`.

    Attributes:
        fd: the number that it had.
        kind: what it was used for in the end.
        peer: the client's address, or None.
        opened: when hangup took it over.
        died: when hangup closed it or gave it up.
        cause: ``here``; of the peer: ``end_of_stream``, ``peer_gone`` (reset), ``path_broken``,
        ``close_frame``, ``left``
            (an Engine.IO packet), ``violation``, ``silent``, ``stalled``, ``overflow``; ``stolen`` (foreign
            code closed it); ``detached``.
        last_read: when something last came.
        last_write: when something was last sent.
        received: bytes.
        sent: bytes.
    """

    fd: int
    kind: str
    peer: Optional[Any]
    opened: float
    died: float
    cause: str
    last_read: Optional[float]
    last_write: Optional[float]
    received: int
    sent: int


class Entry(NamedTuple):
    """A descriptor of this process, whoever opened it.

    Attributes:
        fd: its number.
        kind: ``tcp``, ``udp``, ``unix``, ``socket`` (another family), ``pipe``, ``file``, ``directory``, ``device``,
            ``memfd``, ``epoll``, ``eventfd``, ``timerfd``, ``signalfd``, ``inotify`` or ``anonymous``.
        inode: of a socket or a pipe it is nobody else's.
        path: of a file; the kernel's name for what has none; None for sockets and pipes.
        local: a socket's own address.
        remote: its peer's.
        state: of TCP, see :class:`Tcp`.
        owned: hangup's, see :func:`snapshot`.
        cloexec: closed by ``exec``.
    """

    fd: int
    kind: str
    inode: int
    path: Optional[str]
    local: Optional[Any]
    remote: Optional[Any]
    state: Optional[str]
    owned: bool
    cloexec: bool


class Census(Sequence[Entry]):
    """All that was open, in the order of the numbers. Entries are made when they are looked at."""

    def __init__(self) -> None:
        self._native = _hangup.Census()

    def __len__(self) -> int:
        return len(self._native)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: Union[int, slice]) -> Union[Entry, Sequence[Entry]]:
        places = range(len(self._native))[index]
        if isinstance(places, int):
            return Entry(*self._native.row(places))
        return [Entry(*self._native.row(place)) for place in places]

    def __iter__(self) -> Iterator[Entry]:
        return (Entry(*self._native.row(place)) for place in range(len(self._native)))

    def find(self, fd: int) -> Optional[Entry]:
        """The descriptor with this number."""
        place = self._native.index_of(fd)
        return None if place is None else self[place]


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
    """The descriptors that are hangup's, in the order of their numbers."""
    sessions = _sessions.by_serial()

    def described(row: Any) -> Descriptor:
        tcp, serial = row[-2:]
        session = sessions.get(serial, _sessions.NOBODY)
        return Descriptor._make((*row[:-2], None if tcp is None else Tcp(*tcp), *session))

    return tuple(map(described, _hangup.snapshot()))


def recent() -> tuple[Departed, ...]:
    """The last 1,024 that died in this process, the latest at the end."""
    return tuple(Departed(*row[:-1]) for row in _hangup.recent())


def census() -> Census:
    """Every descriptor of this process. The interpreter is free meanwhile."""
    return Census()


def leaks(min_age: float = 60.0) -> tuple[Leak, ...]:
    """Descriptors that no live connection explains, and sessions without one; see ``docs/descriptors.md``.

    Args:
        min_age: seconds for which it must have been so. What nobody else has the time of is as old as the first call
            that found it.
    """
    return _leaks.find(min_age)


def endpoints() -> tuple[Endpoint, ...]:
    """What the requests of each endpoint leave behind, the worst first. Empty without :mod:`hangup.gunicorn`'s
    hooks."""
    return _endpoints.figures()
