"""The native core. Private: everything public is exported by :mod:`hangup`. In the order of ``src/``."""

from types import TracebackType
from typing import Any, Literal, TypeAlias, final

from typing_extensions import Self, disjoint_base

__all__ = [
    "Acceptor",
    "Census",
    "ConnectionLimit",
    "Dispatcher",
    "Foreign",
    "Group",
    "Inbox",
    "Line",
    "Load",
    "Mailbox",
    "Message",
    "Pin",
    "Socket",
    "Trend",
    "Turn",
    "WebSocket",
    "Words",
    "accept_key",
    "announce",
    "can_send_files",
    "contains_bytes",
    "count",
    "departure",
    "describe",
    "diagnostics_signal",
    "drain",
    "expect",
    "found_family",
    "hand_over",
    "hang_up",
    "join_family",
    "listening",
    "loads",
    "metrics_table",
    "objection",
    "open_descriptors",
    "owns",
    "read_family",
    "recent",
    "retire",
    "say_from_threads",
    "session_id",
    "set_diagnostics_level",
    "silence",
    "snapshot",
    "take_diagnostics",
    "tally",
    "totals",
    "watch_forks",
    "wear",
    "widen_descriptor_table",
]

@final
class Acceptor:
    """A listener that pauses when descriptors run short. Opens three descriptors (dup, epoll, timerfd).

    Args:
        listener: an object with ``fileno()`` that listens; it is duplicated.
        reserve: descriptors to keep free for everything else that the process opens.
        patience: seconds for which the head of a client's first request is waited for; None hands clients over without.

    Raises:
        OSError: as dup(2), epoll_create(2) and timerfd_create(2).
    """

    def __new__(cls, listener: Any, reserve: int, patience: float | None) -> Self: ...
    def accept(self) -> tuple[int | None, Any | None, bool]:
        """``(fd, address, episode_began)``, without waiting; the first two are None if nobody was accepted.

        The descriptor is the caller's. ``episode_began`` is True once for each shortage of descriptors.
        """

    def fileno(self) -> int:
        """What an event loop polls for reading instead of the listener; -1 after :meth:`close`."""

    def leave(self, limit: float, /) -> None:
        """Accepts nobody any more; those who were accepted have at most ``limit`` seconds for their request."""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody was accepted and not handed over."""

    def close(self) -> None:
        """Stops accepting and returns the three descriptors."""

    @property
    def is_paused(self) -> bool: ...

@final
class ConnectionLimit:
    """Token buckets of clients, shared with the processes that are forked later.

    Args:
        count: connections in each ``period``.
        period: seconds.
        burst: connections at a time, at most.

    Raises:
        ValueError: nobody would be admitted, or there are more than 50,000 a second.
        OSError: there is no memory.
    """

    def __new__(cls, count: int, period: float, burst: int) -> Self: ...
    def admit(self, client: bytes, /) -> float | None:
        """None if a connection of this client may begin; else the seconds until it may, and it is counted."""

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
    def _is_detached(self) -> bool: ...
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

def open_descriptors() -> int: ...
def owns(fd: int) -> bool: ...

_Tcp: TypeAlias = tuple[str, float, int, int, float]  # state, rtt, unacked, notsent, silent

def snapshot() -> list[
    tuple[int, str, Any, float, bool, float | None, float | None, int, int, int, _Tcp | None, int]
]:
    """Of each descriptor of hangup's.

    fd, kind, peer, opened, closing, last read, last write, received, sent, queued, TCP, serial.
    """

def recent() -> list[tuple[int, str, Any, float, float, str, float | None, float | None, int, int, int]]:
    """Of those that died: fd, kind, peer, opened, died, why, last read, last write, received, sent, serial."""

@final
class Census:
    """Every descriptor of the process at one time. Rows are made when they are asked for."""

    def __new__(cls) -> Census: ...
    def __len__(self) -> int: ...
    def row(
        self, index: int, /
    ) -> tuple[int, str, int, str | None, Any | None, Any | None, str | None, bool, bool]:
        """fd, kind, inode, path, local, remote, state, owned, cloexec."""

    def in_state(self, state: str, /) -> list[int]:
        """The indices of TCP sockets in ``state``."""

    def index_of(self, fd: int, /) -> int | None: ...

def count() -> tuple[int, int, int]:
    """How many descriptors are open (-1 before Linux 6.2), how many of them are hangup's, and how many may be."""

def departure(fd: int, /) -> tuple[bool, bool]:
    """Whether the peer of ``fd`` has left, and whether nothing can be sent to it; both if it is not open."""

def describe(fd: int) -> tuple[str, str | None, Any | None, Any | None, bool] | None:
    """Kind, path, local and remote address of what is open under ``fd``, and whether it is hangup's."""

def hang_up(serial: int, /) -> bool:
    """Shuts a connection of hangup's down, both ways, for its owner to close; whether it was there."""

def silence(fd: int) -> float | None:
    """Seconds since anything was heard of the peer of a TCP connection."""

def wear(fd: int) -> int | None:
    """A figure that changes when the descriptor is used; None if nothing tells."""

@final
class Foreign:
    """The descriptors that are not hangup's, as they come and go."""

    def __new__(cls) -> Foreign: ...
    def look(self) -> tuple[list[tuple[int, tuple[int, int]]], list[tuple[int, tuple[int, int]]]]:
        """Numbers and identities of what has appeared since the last look, and of what has gone."""

    @staticmethod
    def is_open(fd: int, identity: tuple[int, int]) -> bool:
        """Whether it is open, and the same as it was."""

@final
class Trend:
    """Where a count is going."""

    def __new__(cls) -> Trend: ...
    def add(self, seconds: float, count: float, /) -> None:
        """Adds a sample, later than those before."""

    def slope(self) -> float:
        """Growth per second."""

    def seconds_until(self, limit: float, /) -> float | None:
        """Seconds from the latest sample until the count is ``limit``; None if it does not grow."""

def objection(fd: int) -> str | None: ...
def can_send_files() -> bool: ...
def drain(limit: float) -> int: ...
def watch_forks() -> None: ...
def widen_descriptor_table() -> None: ...

# The counters of this process and its family: see crates/hangup-core/src/metrics/mod.rs.
def totals() -> dict[str, int]: ...
def found_family() -> bool: ...
def join_family() -> str | None: ...
def retire(pid: int) -> bool: ...
def announce(serves: bool) -> None: ...
def tally(name: str) -> None:
    """Adds one to the counter with this name.

    Raises:
        KeyError: there is none.
    """

def read_family(
    pid: int | None,
) -> tuple[
    list[str], list[int], list[int], list[tuple[int, Literal["unknown", "serving", "leaving"], list[int]]]
]: ...
def metrics_table() -> list[
    tuple[str, Literal["counter", "histogram"], str, list[tuple[str, list[str]]]]
]: ...
def contains_bytes(data: object, /) -> bool:
    """Whether ``bytes`` or ``bytearray`` are in a payload: in itself, in its lists, or in the values of its dicts.

    Raises:
        RecursionError: it is nested more than 1,000 deep.
    """

def diagnostics_signal() -> int:
    """An eventfd that is readable while there are diagnostics; it is read before they are taken.

    Raises:
        OSError: as eventfd(2).
    """

def set_diagnostics_level(level: int, /) -> None:
    """Of interest are, from now on, diagnostics of ``level``, one of ``logging``'s, and above."""

def take_diagnostics() -> tuple[list[tuple[int, str, str, list[tuple[str, str]], float, str | None]], int]:
    """What was said since the last call, and how many diagnostics did not fit. A row is: level, logger, message,
    fields, seconds since the epoch, name of the thread.
    """

def say_from_threads(threads: int, count: int, /) -> None:
    """Has native threads say ``count`` things each, at INFO on ``hangup.test``, for tests. Does not wait for them."""

@final
class Inbox:
    """Where siblings send to. Raises OSError where the name is in use, or the kernel has no descriptor for it."""

    def __new__(cls, name: bytes) -> Inbox: ...
    def fileno(self) -> int:
        """Readable while there is something to take."""

    def take(self) -> tuple[bytes, int] | None:
        """What was sent, and the descriptor that came along, or -1; None if there is nothing. Does not wait."""

    def close(self) -> None: ...

@final
class Line:
    """A connection to somebody's inbox. Raises ConnectionRefusedError where there is none, PermissionError where it is
    another user's."""

    def __new__(cls, name: bytes) -> Line: ...
    def send(self, data: bytes, fd: int, limit: float, /) -> bool:
        """False if there was no room within ``limit`` seconds. ``fd`` stays the caller's; -1 is none."""

def loads() -> list[tuple[int, int]]:
    """Pid and number of sessions of each process of the family that serves."""

def listening() -> list[int]:
    """The pids of the processes that hear what others of their family tell them: those that serve, and those that leave
    and are not gone.
    """

def hand_over(websockets: list[WebSocket], limit: float, /) -> list[tuple[int, bytes, _Moved] | None]:
    """Has WebSockets that are quiet go, so that another process can go on with them; at most within ``limit`` seconds.

    Of each its descriptor, which is the caller's, what the client sent and nobody has handled, and what ``moved`` takes
    (:class:`WebSocket`); None if it ends here, or nothing happened.
    """

def expect(pid: int, change: int, /) -> None:
    """A session is sent to a process (1), or begun or given up there (-1)."""

def session_id(number: int, /) -> str:
    """As ``engineio.Server.generate_id`` makes it: 12 random octets, then the low three of ``number``."""

def accept_key(key: str) -> str:
    """The value of ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2)."""

# A message, or what happened: ("closed", code, reason, cause, received bytes, sent bytes) comes once, and last. The
# cause is peer, left, transport, here, violation, silent, stalled or overflow.
_Event: TypeAlias = str | bytes | tuple[str] | tuple[str, int, str, str, int, int]

@final
class Dispatcher:
    """Gives the events of WebSockets to threads, or to a hub."""

    def __new__(cls, parallel: int | None, /) -> Dispatcher:
        """``parallel``: how many threads can make progress at once; None for a hub, which watches ``fileno()``."""

    def next(self, limit: float, before: Turn | None = None, /) -> Turn | None:
        """Ends the turn ``before``, and waits for the next one, at most ``limit`` seconds."""

    def try_next(self, before: Turn | None = None, /) -> Turn | None:
        """Ends the turn ``before``. The next one, if something waits."""

    def fileno(self) -> int:
        """Readable while something waits; -1 for threads."""

    def told(self) -> list[int]:
        """The ids of WebSockets with room that ``wait_for_room`` did not find, or that are over (``tells``)."""

    def stop(self, limit: float, /) -> None:
        """No turn is given any more. Waits until those who wait have left, at most ``limit`` seconds."""

    @property
    def idle(self) -> int:
        """Threads that wait for a turn."""

@final
class Turn:
    """Permission to handle the events of one WebSocket."""

    @property
    def id(self) -> int:
        """The WebSocket whose turn it is."""

    @property
    def is_last(self) -> bool:
        """Nobody waits for the next turn."""

    def take(self) -> _Event | None:
        """The next event. None: the turn should end."""

    def let_others_in(self) -> None:
        """From now until the next ``take``, a block gives the connection to somebody else."""

    def end(self) -> None:
        """Ends the turn; events that are left go to somebody else."""

    def leave(self) -> None:
        """Ends the turn, and leaves the events to ``WebSocket.receive``; the next comes after that found nothing."""

    def step_aside(self) -> None:
        """The handler is about to wait: others go on."""

@final
class Mailbox:
    """Where a client's messages go: to its WebSocket, once it has one."""

    def __new__(cls) -> Mailbox: ...
    @property
    def id(self) -> int:
        """Unique in this process and its children."""

    def attach(self, websocket: WebSocket, /) -> bool:
        """From now on messages go to ``websocket``. False if they go to another one."""

@final
class Group:
    """A set of clients."""

    def __new__(cls) -> Group: ...
    def __len__(self) -> int: ...
    def add(self, mailbox: Mailbox, /) -> bool:
        """False if it was there already."""

    def discard(self, mailbox: Mailbox, /) -> bool:
        """False if it was not there."""

#: Unsent, awaiting a pong, seconds until a ping or a pong is due, received, sent.
_Moved: TypeAlias = tuple[bytes, bool, float, int, int]
_Outcome: TypeAlias = Literal["sent", "queued", "gone", "dropped", "refused", "overflowed"]

@final
class Message:
    """What is sent to many clients: encoded and framed once."""

    def __new__(cls, parts: list[Any], prefix: str = "", /) -> Message:
        """``parts``, which are not separated: str as text with ``prefix`` in front, bytes-like as binary."""

    def send(self, mailbox: Mailbox, policy: str | None = None, key: str | None = None, /) -> _Outcome | None:
        """Offers it to one client: as ``WebSocket.send``; ``refused`` under ``block``; None if it has no WebSocket."""

    def broadcast(
        self,
        groups: list[Group],
        skipped: list[int],
        policy: str | None = None,
        key: str | None = None,
        /,
    ) -> tuple[int, int, int, int, list[int], list[int]]:
        """Offers it to everybody in ``groups``, except the mailboxes with the ids ``skipped``.

        Returns the number of clients for which it was sent, is queued, is too late, was dropped; the ids of mailboxes
        without a WebSocket; and under ``block`` the ids of those without room.
        """

@final
class WebSocket:
    """A WebSocket on the engine."""

    def __new__(
        cls,
        fd: int,
        early: bytes,
        dispatcher: Dispatcher | None,
        *,
        max_message: int,
        max_queued: int,
        stall_limit: float,
        close_limit: float,
        heartbeat: tuple[float, float] | None = None,
        upgrade: bool = False,
        pings: tuple[float, float | None] | None = None,
        tells: bool = False,
        policy: str = "close",
        moved: _Moved | None = None,
    ) -> WebSocket:
        """Takes over the descriptor ``fd``, whose upgrade was answered; ``early``: what was read beyond the request.

        Sizes in bytes, times in seconds. Without a dispatcher its events wait for ``receive``. ``heartbeat``:
        Engine.IO's (interval, timeout), or None for plain messages; ``upgrade``: its session was polling. ``pings``:
        (interval, timeout) of ping frames, for plain messages; without a timeout nobody is left for silence.
        ``policy``: ``close``, ``drop_oldest``, ``drop_newest`` or ``block``, for a ``Message`` without room. ``tells``:
        has the dispatcher's ``told`` name it when there is room that was waited for, and at its end. ``moved``: what
        :func:`hand_over` returned last of it, in another process; it is parked then.
        """

    @property
    def id(self) -> int:
        """Unique in this process and its children."""

    @property
    def serial(self) -> int:
        """Its descriptor's, unlike the number nobody else's."""

    @property
    def queued(self) -> int:
        """What waits to be sent, in bytes."""

    @property
    def sent(self) -> int:
        """Payload and framing sent so far, in bytes."""

    @property
    def dropped(self) -> int:
        """Messages that were dropped for want of room."""

    @property
    def coalesced(self) -> int:
        """Messages that waited, and were replaced by a newer one of their key."""

    @property
    def quiet(self) -> float:
        """Seconds since a ``Message`` last came for it, or since this was first asked."""

    @property
    def ending(self) -> tuple[str, int, str, str, int, int] | None:
        """How it ended, as in ``Turn.take``; None while it is not over."""

    def send(self, data: Any, /) -> _Outcome:
        """Offers str as text, bytes-like as binary. Never waits."""

    def wait_for_room(self, level: int, limit: float, /) -> bool:
        """Waits until no more than ``level`` bytes wait to be sent, or it is over; at most ``limit`` seconds.

        False if time is up: then the dispatcher tells of it as soon as there is room, if it was asked to (``tells``).
        """

    def receive(self, limit: float, /) -> _Event | None:
        """Waits for the next event, at most ``limit`` seconds.

        For a WebSocket without a dispatcher, or whose turns are left to it (``Turn.leave``): then ``limit`` is 0.
        """

    @property
    def is_quiet(self) -> bool:
        """Whether it is parked, and nobody has a turn."""

    def park(self) -> None:
        """From now on nobody is given a turn, and the client is not read. Who has a turn keeps it."""

    def unpark(self) -> None:
        """As before :meth:`park`."""

    def close(self, code: int = 1000, reason: str = "", /) -> None:
        """Closes after what waits was sent; with 1006 the stream ends without a close frame. Never waits."""

    def abort(self) -> None:
        """Ends it now: what waits is thrown away."""

@final
class Words:
    """Words to look for, all at once.

    Args:
        words: none has a line end in it.

    Raises:
        ValueError: they are too many.
    """

    def __new__(cls, words: list[bytes], /) -> Words: ...
    def lines(self, block: bytes, /) -> list[int]:
        """Where those lines of the block begin that have one of the words, ascending."""

@final
class Load:
    """Load on a server, made on a native thread: what `hangup bench` and `hangup storm` run."""

    def __new__(cls, plan: str, /) -> Load:
        """Starts what `plan`, which is JSON, says; ValueError if it says nothing that can be done."""
    def wait(self, seconds: float, /) -> bool:
        """Waits until it is over, so many seconds at most; RuntimeError if it ended otherwise than it should."""
    def stop(self) -> None:
        """Ends it at once, connections and all; `wait` says when that is."""
    def report(self) -> str:
        """What has been counted so far, as JSON."""
