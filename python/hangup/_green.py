"""Waiting in the hub of gevent or eventlet.

Promised
    No call on a green socket blocks its thread; a buffer given to ``sendall`` is not mixed with another
    greenlet's; a close wakes whoever waits.

How
    The native calls of a green socket never wait. Here they are tried, and what would block is waited for in
    the hub, on a number that is pinned meanwhile, so it cannot be recycled under the hub's watcher. A close
    shuts the connection down, which makes the watcher fire.

Not promised
    Fairness between greenlets that write to one socket.
"""

from __future__ import annotations

import errno
import functools
import socket
import sys
import time
from typing import Any, Callable, Optional

from ._socket import SafeSocket
from .exceptions import Busy, HangupError, TimedOut


def flavour(cls: type, sock: object = None) -> Any:
    """``cls``, or its combination with the hub that this process, or ``sock``, belongs to."""
    if getattr(cls, "_green", False):
        return cls
    hub = _hub_of(sock) or patched_by()
    return cls if hub is None else _combined(cls, hub)


def patched_by() -> Optional[str]:
    """The name of the hub whose monkey-patch is in force for sockets, or None."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    return None


def _hub_of(sock: object) -> Optional[str]:
    root = type(sock).__module__.partition(".")[0]
    return root if root in ("gevent", "eventlet") else None


@functools.cache
def _combined(cls: type, hub: str) -> type:
    waits = {"gevent": _GeventWaits, "eventlet": _EventletWaits}[hub]
    return type(cls.__name__, (waits, cls), {"__slots__": ("_turn",), "__module__": cls.__module__})


class _GreenWaits(SafeSocket):
    """Tries without waiting, waits in the hub. Subclasses know the hub."""

    __slots__ = ()

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
        except _HubTimeout:
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


class _HubTimeout(Exception):
    """A wait in the hub ran out."""


class _GeventWaits(_GreenWaits):
    __slots__ = ()

    def _prepare(self) -> None:
        from gevent.lock import BoundedSemaphore

        super()._prepare()
        self._turn = BoundedSemaphore(1)

    def _hub_wait(self, fd: int, writable: bool, timeout: Optional[float]) -> None:
        from gevent.socket import wait_read, wait_write

        (wait_write if writable else wait_read)(fd, timeout, _HubTimeout())

    def _hub_pause(self) -> None:
        from gevent import sleep

        sleep(0)


class _EventletWaits(_GreenWaits):
    __slots__ = ()

    def _prepare(self) -> None:
        from eventlet.semaphore import BoundedSemaphore

        super()._prepare()
        self._turn = BoundedSemaphore(1)

    def _hub_wait(self, fd: int, writable: bool, timeout: Optional[float]) -> None:
        from eventlet.hubs import trampoline

        trampoline(fd, read=not writable, write=writable, timeout=timeout, timeout_exc=_HubTimeout)

    def _hub_pause(self) -> None:
        from eventlet import sleep

        sleep(0)
