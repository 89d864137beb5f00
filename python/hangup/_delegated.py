"""The rarely called methods of a socket: CPython's own code, on a number that cannot be recycled meanwhile.

A view, an inert ``_socket.socket`` on the same number, is made for the length of one call, so that signatures,
address formats and errors are exactly the standard library's. The number is pinned: a close by another
thread is carried out when the call has returned.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
import time
from typing import Any, Optional

from . import _hangup

_MSG_NOSIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)


class Delegated(_hangup.Socket):
    """What ``SafeSocket`` shares with ``socket.socket`` and does not do itself."""

    __slots__ = ("_identity",)

    _green = False
    _identity: tuple[int, int, int]

    def _kind_of_socket(self) -> tuple[int, int, int]:
        """Family, type and protocol, asked once."""
        try:
            return self._identity
        except AttributeError:
            with self._pin() as fd:
                view = _socket.socket(fileno=fd)
                self._identity = view.family, view.type, view.proto
                view.detach()
            return self._identity

    @property
    def family(self) -> Any:
        """The address family, e.g. ``AF_INET``."""
        return _member(socket.AddressFamily, self._kind_of_socket()[0])

    @property
    def type(self) -> Any:
        """The socket type, ``SOCK_STREAM``."""
        return _member(socket.SocketKind, self._kind_of_socket()[1])

    @property
    def timeout(self) -> Optional[float]:
        """As :meth:`gettimeout`."""
        return self.gettimeout()

    @property
    def proto(self) -> int:
        """The protocol number."""
        return self._kind_of_socket()[2]

    def _call(self, method: str, *args: Any) -> Any:
        """Calls CPython's ``method`` on the pinned number, without waiting if there is a timeout."""
        family, kind, proto = self._kind_of_socket()
        with self._pin() as fd:
            view = _socket.socket(family, kind, proto, fd)
            try:
                if socket.getdefaulttimeout() is not None:  # views begin with it; only our own timeout counts
                    view.settimeout(None if self.gettimeout() is None and not self._green else 0.0)
                return getattr(view, method)(*args)
            finally:
                view.detach()

    def _call_patiently(self, method: str, writable: bool, *args: Any) -> Any:
        """As :meth:`_call`, but waits until the timeout for what would block."""
        timeout = self.gettimeout()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                outcome = self._call(method, *args)
            except BlockingIOError:
                if timeout == 0:
                    raise
            else:
                if self._is_closed:  # woken by our own close, not by the peer
                    self._pin().__enter__()
                return outcome
            self._wait_until(writable, deadline)

    def _wait_until(self, writable: bool, deadline: Optional[float]) -> None:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if left == 0.0 or not self._wait(writable, left):
            raise socket.timeout("timed out")

    def getsockopt(self, *args: Any) -> Any:
        """As :meth:`socket.socket.getsockopt`."""
        return self._call("getsockopt", *args)

    def setsockopt(self, *args: Any) -> None:
        """As :meth:`socket.socket.setsockopt`."""
        self._call("setsockopt", *args)

    def getsockname(self) -> Any:
        """Our address."""
        return self._call("getsockname")

    def getpeername(self) -> Any:
        """The peer's address."""
        return self._call("getpeername")

    def bind(self, address: Any) -> None:
        """As :meth:`socket.socket.bind`."""
        self._call("bind", address)

    def connect(self, address: Any) -> None:
        """As :meth:`socket.socket.connect`."""
        error = self._connect(address)
        if error:
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Any) -> int:
        """As :meth:`socket.socket.connect_ex`: the errno instead of an exception."""
        try:
            return self._connect(address)
        except socket.timeout:
            return errno.EAGAIN

    def _connect(self, address: Any) -> int:
        timeout = self.gettimeout()
        deadline = None if timeout is None else time.monotonic() + timeout
        error: int = self._call("connect_ex", address)
        if error != errno.EINPROGRESS or timeout == 0:
            return error
        self._wait_until(True, deadline)
        outcome: int = self._call("getsockopt", socket.SOL_SOCKET, socket.SO_ERROR)
        return outcome

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """As :meth:`socket.socket.recvfrom`."""
        received: tuple[bytes, Any] = self._call_patiently("recvfrom", False, bufsize, flags)
        return received

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As :meth:`socket.socket.recvfrom_into`."""
        received: tuple[int, Any] = self._call_patiently("recvfrom_into", False, buffer, nbytes, flags)
        return received

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As :meth:`socket.socket.recvmsg`."""
        received: tuple[bytes, list[Any], int, Any]
        received = self._call_patiently("recvmsg", False, bufsize, ancbufsize, flags)
        return received

    def recvmsg_into(
        self, buffers: Any, ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """As :meth:`socket.socket.recvmsg_into`."""
        received: tuple[int, list[Any], int, Any]
        received = self._call_patiently("recvmsg_into", False, buffers, ancbufsize, flags)
        return received

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """As :meth:`socket.socket.sendto`: on a connected stream the address is not looked at."""
        if not 1 <= len(flags_and_address) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(flags_and_address)} given)")
        return self.send(data, *flags_and_address[:-1])

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """As :meth:`socket.socket.sendmsg`. Without ancillary data and address it is one :meth:`send`."""
        parts = [memoryview(part).tobytes() for part in buffers]
        ancillary = list(ancdata)
        if not ancillary and address is None:
            return self.send(b"".join(parts), flags)
        tail = () if address is None else (address,)
        sent: int = self._call_patiently("sendmsg", True, parts, ancillary, flags | _MSG_NOSIGNAL, *tail)
        return sent

    def get_inheritable(self) -> bool:
        """Whether a child created by exec inherits the descriptor."""
        with self._pin() as fd:
            return os.get_inheritable(fd)

    def set_inheritable(self, inheritable: bool) -> None:
        """Sets whether a child created by exec inherits the descriptor."""
        with self._pin() as fd:
            os.set_inheritable(fd, inheritable)


def _member(enum: Any, value: int) -> Any:
    try:
        return enum(value)
    except ValueError:  # a family that this Python has no name for
        return value
