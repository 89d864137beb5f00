"""The native core. Private: everything public is exported by :mod:`hangup`. In the order of ``src/``."""

from types import TracebackType
from typing import Any, Literal, final

from typing_extensions import Self, disjoint_base

__all__ = [
    "Acceptor",
    "Pin",
    "Socket",
    "after_fork_in_child",
    "after_fork_in_parent",
    "before_fork",
    "can_send_files",
    "drain",
    "objection",
    "open_descriptors",
    "owns",
    "snapshot",
    "totals",
]

@final
class Acceptor:
    """A listener that pauses when descriptors run short. Opens three descriptors (dup, epoll, timerfd).

    Args:
        listener: an object with ``fileno()`` that listens; it is duplicated.
        reserve: descriptors to keep free for everything else that the process opens.

    Raises:
        OSError: as dup(2), epoll_create(2) and timerfd_create(2).
    """

    def __new__(cls, listener: Any, reserve: int) -> Self: ...
    def accept(self) -> tuple[int | None, Any | None, bool]:
        """``(fd, address, episode_began)``, without waiting; the first two are None if nobody was accepted.

        The descriptor is the caller's. ``episode_began`` is True once for each shortage of descriptors.
        """

    def fileno(self) -> int:
        """What an event loop polls for reading instead of the listener; -1 after :meth:`close`."""

    def close(self) -> None:
        """Stops accepting and returns the three descriptors."""

    @property
    def is_paused(self) -> bool: ...

@disjoint_base
class Socket:
    """One face of a guarded connection; see ``docs/model.md`` for the three roles.

    Args:
        source: a descriptor to take over, or, for the role ``application``, the server's ``Socket``.
        role: who uses it.
        green: its waits belong to a hub: nothing here waits, the kernel's mode is non-blocking for good.
    """

    def __new__(cls, source: Any, role: Literal["owner", "server", "application"], green: bool) -> Self: ...
    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """At most ``bufsize`` bytes; empty at the end of the stream.

        Raises:
            PeerGone, Broken, ClosedHere, OwnershipViolation: the connection is over.
            BlockingIOError, socket.timeout: nothing came in time.
        """

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As :meth:`recv`, stored into a writable buffer. The number of bytes."""

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Sends some of ``data``, at least one byte. The number of bytes."""

    def _send_from(self, data: Any, offset: int, flags: int, /) -> int: ...
    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Sends all of ``data``; nobody else's bytes get in between.

        Raises:
            PeerGone, Broken, ClosedHere, TimedOut, OwnershipViolation: with ``bytes_sent``.
        """

    def _send_file(self, file: int, offset: int, count: int, /) -> int: ...
    def shutdown(self, how: int, /) -> None:
        """As :meth:`socket.socket.shutdown`."""

    def _close(self, place: str | None = None, /) -> None: ...
    def detach(self) -> int: ...
    def fileno(self) -> int:
        """The number, or -1. From the first call on it is checked before each write (see ``docs/model.md``)."""

    def gettimeout(self) -> float | None:
        """Seconds; None waits for ever, 0.0 never waits."""

    def settimeout(self, timeout: float | None, /) -> None:
        """Seconds, None or 0.

        Raises:
            ValueError: negative. OverflowError: too large.
        """

    def setblocking(self, flag: object, /) -> None:
        """True is ``settimeout(None)``, False is ``settimeout(0)``."""

    def _wait(self, writable: bool, timeout: float | None, /) -> bool: ...
    def _pin(self) -> Pin: ...
    @property
    def _kind(self) -> str: ...
    @property
    def _number(self) -> int: ...
    @property
    def _is_upgraded(self) -> bool: ...
    @property
    def _is_closed(self) -> bool: ...

@final
class Pin:
    """A context in which a socket's number stays ours; entering gives the number."""

    def __enter__(self) -> int: ...
    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

def totals() -> dict[str, int]: ...
def open_descriptors() -> int: ...
def owns(fd: int) -> bool: ...
def snapshot() -> list[tuple[int, str, Any | None, float, bool]]: ...
def objection(fd: int) -> str | None: ...
def can_send_files() -> bool: ...
def drain(limit: float) -> int: ...
def before_fork() -> None: ...
def after_fork_in_parent() -> None: ...
def after_fork_in_child() -> None: ...
