"""What can go wrong between us and a client, as types.

The tree (in brackets the built-in classes each one also is, so that an ``except`` clause written
before hangup keeps catching it)::

    OSError
    └── HangupError
        ├── PeerGone             [ConnectionResetError, BrokenPipeError]  the other side left
        ├── ClosedHere           [BrokenPipeError]                        our side closed first
        ├── Broken               [BrokenPipeError]                        the path between us failed
        ├── TimedOut             [socket.timeout]                         a send ran out of its timeout
        ├── Busy                 [BlockingIOError]                        another user holds the socket
        ├── OwnershipViolation                                            somebody else closed our descriptor
        └── CannotGuard                                                   this descriptor is not taken over

Promised: every instance has ``errno`` (int), ``strerror`` (str), ``bytes_sent`` (int) and ``cause`` (str),
survives ``pickle`` and ``copy`` with all its attributes, and is built as ``Class(errno, strerror)``.
After PeerGone, ClosedHere, Broken and OwnershipViolation the connection is over for good; the others leave it
as it was.

Not here: the decision which of them an errno means. That is made once, in the native core.
"""

from __future__ import annotations

import sys

if sys.version_info >= (3, 10):
    _SocketTimeout = TimeoutError
else:  # socket.timeout became TimeoutError in 3.10; importing socket only for its name is not free
    import socket

    _SocketTimeout = socket.timeout

__all__ = [
    "Broken",
    "Busy",
    "CannotGuard",
    "ClosedHere",
    "HangupError",
    "OwnershipViolation",
    "PeerGone",
    "TimedOut",
]


class HangupError(OSError):
    """Base of everything hangup raises about a connection or a descriptor.

    Args:
        errno: the error number, as the kernel gave it or as documented on the class.
        strerror: what happened, for people.

    Attributes:
        errno (int): always set.
        strerror (str): always set.
        bytes_sent (int): bytes of the failed call's buffer that the kernel had taken before the failure.
        cause (str): the native core's stable lower-case label of the failure, "" where it gave none.
    """

    bytes_sent: int = 0
    cause: str = ""

    def __init__(self, errno: int, strerror: str) -> None:
        # OSError alone would also accept no arguments and leave errno at None.
        super().__init__(errno, strerror)


class PeerGone(HangupError, ConnectionResetError, BrokenPipeError):
    """The other side left: it reset the connection, or no longer takes what we write.

    ``errno`` is the kernel's (ECONNRESET, EPIPE, ...). The connection is over. The socket object can
    still be asked for its peer's name and its statistics, and must still be closed. Other connections
    are not affected; whoever broadcasts goes on with the next client.
    """


class ClosedHere(HangupError, BrokenPipeError):
    """Our own side had closed or shut down the connection before this call.

    ``errno`` is EPIPE, never EBADF: the descriptor is still ours or already returned, and nothing was
    done on it. Nothing is left to use or to clean up; closing again is allowed and does nothing.

    Attributes:
        closed_by (str): where it was closed, as "file:line in function"; "" where that is not known.
    """

    closed_by: str = ""


class Broken(HangupError, BrokenPipeError):
    """The path failed: host or network unreachable, network down, or the kernel gave up retransmitting.

    ``errno`` is the kernel's (ETIMEDOUT, EHOSTUNREACH, ENETDOWN, ...). Whether the peer lives is not
    known. The connection is over, as with :class:`PeerGone`.
    """


class TimedOut(HangupError, _SocketTimeout):
    """A send did not finish within the socket's timeout. ``errno`` is ETIMEDOUT, ``str()`` "timed out".

    The connection is open and stays usable, but ``bytes_sent`` bytes of the buffer are on their way: go on
    from there, or close. Sending the whole buffer again would repeat them to the peer.
    """

    def __str__(self) -> str:
        """The text socket.timeout has always had, which callers compare against."""
        return "timed out"


class Busy(HangupError, BlockingIOError):
    """Another writer (or reader) is inside the socket and the chosen policy is not to wait for it.

    ``errno`` is EAGAIN. Nothing was sent or read; the connection is fine, try again later.
    """


class OwnershipViolation(HangupError):
    """Somebody else in this process closed or replaced a descriptor that hangup owns.

    ``errno`` is EBADF. It is a defect on our side of the wire, never a client that left: it is counted,
    it is not demoted or dropped by :class:`hangup.DisconnectFilter`, and nothing was written to the
    number, which may be somebody else's by now. This connection is over; no other is affected.
    """


class CannotGuard(HangupError):
    """A descriptor that SafeSocket does not take over. Nothing was taken; the caller still owns it.

    Attributes:
        fd (int): the descriptor, -1 for a closed one.
        kind (str): what it was: "closed", "regular file", "pipe", "listening socket", "already guarded",
            "TLS socket", ...
    """

    fd: int = -1
    kind: str = ""
