"""Connections that other workers passed to this one, where it looks for clients."""

from __future__ import annotations

import _socket
import errno
import socket
from typing import Any, NamedTuple

from .._green import flavour
from .._gunicorn.faces import ServerSocket
from . import CONNECTIONS, inbox
from .passing import CAME_FOR


class Passed(NamedTuple):
    """A connection, and its request.

    Attributes:
        fd: owned by whoever has this.
        address: of the client.
        request: what was read already.
        came_for: a session that is here, or one that is to begin.
    """

    fd: int
    address: Any
    request: bytes
    came_for: bytes


class PassedSocket(ServerSocket):
    """A client's connection that begins with what was read elsewhere."""

    __slots__ = ("_ahead", "_came_for")

    _ahead: bytes
    _came_for: bytes

    def take_over(self, passed: Passed) -> None:
        """Once, before anything is read."""
        self._ahead, self._came_for = passed.request, passed.came_for

    def tell(self, environ: dict[str, Any]) -> None:
        if self._came_for:
            environ[CAME_FOR], self._came_for = self._came_for, b""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        if not self._ahead or not bufsize:
            return super().recv(bufsize, flags)
        taken = self._ahead[:bufsize]
        if not flags & socket.MSG_PEEK:
            self._ahead = self._ahead[bufsize:]
        return taken

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if not self._ahead:
            return super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer).cast("B")
        taken = self.recv(nbytes or len(view), flags)
        view[: len(taken)] = taken
        return len(taken)


def socket_of(passed: Passed) -> PassedSocket:
    """The server's face of it, combined with the hub of this process."""
    face: PassedSocket = flavour(PassedSocket)(passed.fd)
    face.take_over(passed)
    return face


class PassedListener:
    """Stands beside gunicorn's listeners in ``worker.sockets``.

    Args:
        beside: one of them, whose address its clients have connected to.

    Raises:
        OSError: the kernel has no descriptor or memory for it.
    """

    def __init__(self, beside: Any) -> None:
        self._inbox = inbox(CONNECTIONS)
        self._beside = beside

    def __str__(self) -> str:
        return "other workers"

    def fileno(self) -> int:
        return int(self._inbox.fileno())

    def getsockname(self) -> Any:
        return self._beside.getsockname()

    def setblocking(self, flag: object) -> None:
        """Nobody waits here."""

    def take(self) -> Passed:
        """The next one.

        Raises:
            BlockingIOError: there is none.
        """
        while True:
            message = self._inbox.take()
            if message is None:
                raise BlockingIOError(errno.EAGAIN, "nobody was passed")
            data, fd = message
            if fd < 0:  # dropped by the kernel: there was no descriptor free
                continue
            with socket.socket(fileno=fd) as client:
                try:
                    address = client.getpeername()
                except OSError:  # has left
                    continue
                client.detach()
            return Passed(fd, address, data[1:], data[:1])

    def accept(self) -> tuple[PassedSocket, Any]:
        """As a listener's.

        Raises:
            BlockingIOError: there is none.
        """
        passed = self.take()
        return socket_of(passed), passed.address

    def close(self) -> None:
        """Nobody is passed here any more."""
        self._inbox.close()


class HubListener(PassedListener):
    """The same for gevent and eventlet, which make a socket of their own of each client.

    (Names used: gevent/server.py, ``StreamServer``; eventlet/greenio/base.py, ``GreenSocket``.)
    """

    type, proto, timeout = socket.SOCK_STREAM, 0, 0.0

    def __init__(self, beside: Any) -> None:
        super().__init__(beside)
        self._passed: dict[int, Passed] = {}

    def __getattr__(self, name: str) -> Any:
        if name == "_sock":  # what gevent would use instead of this
            raise AttributeError(name)
        return getattr(self._beside, name)

    def gettimeout(self) -> float:
        return self.timeout

    def _accept(self) -> tuple[int, Any]:
        """gevent's."""
        passed = self.take()
        self._passed[passed.fd] = passed
        return passed.fd, passed.address

    def accept(self) -> tuple[Any, Any]:
        """eventlet's."""
        fd, address = self._accept()
        return _socket.socket(fileno=fd), address

    def face_of(self, client: Any) -> PassedSocket:
        """The server's, of the socket that a hub made; that one is left inert."""
        passed = self._passed.pop(client.fileno())
        client.detach()
        return socket_of(passed)
