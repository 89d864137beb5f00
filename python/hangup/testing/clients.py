"""Clients that leave in the ways real ones do, on plain stream sockets.

Promised: each helper produces one exact behaviour on the wire.

* `reset`: the peer sees ECONNRESET (RST, nothing in between).
* `half_close`: the peer sees end of file; this side still reads.
* `StalledReader`: the connection stays up and the window closes.
* `vanish`: the peer gets no acknowledgement, no FIN and no RST, as after a lost network.

Not promised: anything about the other end. None of these wait for it.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import socket
import struct
import termios
import time
from types import TracebackType

Address = tuple[str, int]

_SO_ATTACH_FILTER = 26
_BPF_RETURN_CONSTANT = 0x06
_READ_SIZE = 1 << 16


def connect(address: Address, *, rcvbuf: int | None = None, timeout: float | None = 10.0) -> socket.socket:
    """Return a TCP connection to ``address``.

    Args:
        address: Host and port.
        rcvbuf: Receive buffer in bytes, set before the handshake so that it limits the window; None for the
            system's choice.
        timeout: Seconds for the handshake and for each later call on the socket; None waits for ever.

    Raises:
        OSError: The connection could not be made.
    """
    family, kind, proto, _, target = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close ``sock`` with a reset: unsent and unread bytes are thrown away and the peer sees ECONNRESET.

    Harmless when ``sock`` is closed already.
    """
    if sock.fileno() < 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock: socket.socket) -> None:
    """End the sending side of ``sock``; the peer sees end of file and this side can still read."""
    sock.shutdown(socket.SHUT_WR)


def vanish(sock: socket.socket) -> None:
    """Make ``sock`` deaf: the kernel drops everything that arrives, unacknowledged.

    The peer sees what it sees when a network goes: nothing. Keep the socket open for as long as the silence
    is to last; `reset` it afterwards. Linux only.

    Raises:
        OSError: The kernel refused the filter.
    """
    program = ctypes.create_string_buffer(struct.pack("@HBBI", _BPF_RETURN_CONSTANT, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


class StalledReader:
    """A client with a small window that does not read until it is told to.

    Use as a context manager; leaving it closes the connection.

    Attributes:
        sock: The connection, for sending a request.
    """

    def __init__(self, address: Address, *, rcvbuf: int = 4096, timeout: float = 10.0) -> None:
        """Connect to ``address``.

        Args:
            address: Host and port.
            rcvbuf: Receive buffer in bytes; the kernel doubles it.
            timeout: Seconds for the handshake and for each later read.
        """
        self.sock = connect(address, rcvbuf=rcvbuf, timeout=timeout)

    def __enter__(self) -> StalledReader:
        """Return the reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def queued(self) -> int:
        """Return how many bytes have arrived and wait to be read."""
        count = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, count)
        return count[0]

    def wait_stalled(self, *, still: float = 0.25, deadline: float = 5.0) -> bool:
        """Wait until bytes have arrived and no more have come for a while.

        Args:
            still: Seconds without growth that count as stalled.
            deadline: Seconds to wait at most.

        Returns:
            Whether the connection stalled before the deadline.
        """
        end = time.monotonic() + deadline
        seen, since = 0, time.monotonic()
        while (now := time.monotonic()) < end:
            here = self.queued()
            if here != seen:
                seen, since = here, now
            elif seen and now - since >= still:
                return True
            time.sleep(0.005)
        return False

    def read(self) -> bytes:
        """Read what comes next, up to 64 KiB; empty at end of file."""
        return self.sock.recv(_READ_SIZE)

    def drain(self, *, limit: int | None = None) -> int:
        """Read until end of file, a reset, a timeout or ``limit`` bytes.

        Returns:
            The number of bytes read.
        """
        total = 0
        while limit is None or total < limit:
            try:
                data = self.read()
            except (ConnectionResetError, socket.timeout):
                break
            if not data:
                break
            total += len(data)
        return total

    def close(self) -> None:
        """Close the connection; harmless when it is closed already."""
        self.sock.close()
