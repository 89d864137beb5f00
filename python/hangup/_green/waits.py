"""What gevent and eventlet have in common: to try without waiting, and to wait in the hub."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any, Callable, ClassVar, Optional

from .._socket import SafeSocket
from ..exceptions import Busy, HangupError, TimedOut


class GreenWaits(SafeSocket):
    """Tries without waiting, waits in the hub. Subclasses know the hub."""

    __slots__ = ()

    #: Of the classes that are made of this one.
    FIELDS: ClassVar[tuple[str, ...]] = ("_turn",)

    _green = True
    _turn: Any

    def _hub_wait(self, fd: int, writable: bool, timeout: Optional[float]) -> None:
        raise NotImplementedError

    def _hub_pause(self) -> None:
        raise NotImplementedError

    def _wait(self, writable: bool, timeout: Optional[float]) -> bool:
        try:
            with self._pin() as fd:
                self._hub_wait(fd, writable, timeout)
        except HubTimeout:
            return False
        return True

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        received: bytes = self._patiently(False, flags, super().recv, bufsize, flags)
        return received

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count: int = self._patiently(False, flags, super().recv_into, buffer, nbytes, flags)
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        data = _immutable(data)
        with self._turn:
            sent: int = self._patiently(True, flags, self._send_from, data, 0, flags)
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        data = _immutable(data)
        timeout = self.gettimeout()
        deadline = None if timeout is None else time.monotonic() + timeout
        sent = 0
        with self._turn:
            try:
                while sent < len(data):
                    sent += self._patiently(
                        True, flags, self._send_from, data, sent, flags, deadline=deadline
                    )
            except HangupError as error:
                error.bytes_sent = sent
                raise

    def _send_part(self, number: int, offset: int, count: int) -> int:
        with self._turn:
            sent: int = self._patiently(True, 0, self._send_file, number, offset, count)
        return sent

    def _patiently(
        self,
        writable: bool,
        flags: int,
        attempt: Callable[..., Any],
        *args: Any,
        deadline: Optional[float] = None,
    ) -> Any:
        while True:
            try:
                return attempt(*args)
            except Busy:  # a thread of the hub's pool is inside, for the length of one system call
                self._hub_pause()
                continue
            except BlockingIOError:
                timeout = self.gettimeout()
                if timeout == 0 or flags & socket.MSG_DONTWAIT:
                    raise
            if deadline is None and timeout is not None:
                deadline = time.monotonic() + timeout
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not self._wait(writable, left):
                raise TimedOut(errno.ETIMEDOUT, "timed out") if writable else socket.timeout("timed out")


def _immutable(data: Any) -> bytes:
    return data if isinstance(data, bytes) else memoryview(data).tobytes()


class HubTimeout(Exception):
    """A wait in the hub ran out."""
