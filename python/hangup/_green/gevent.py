"""Waiting in gevent's hub."""

from __future__ import annotations

from typing import Any, Optional

from gevent import get_hub, sleep
from gevent.lock import BoundedSemaphore
from gevent.socket import wait, wait_read, wait_write

from .waits import GreenWaits, HubTimeout

_READ = 1


class GeventWaits(GreenWaits):
    """A client's next request is waited for each time anew: with one watcher, which libev need not tell the kernel of.

    It is started only while its number is pinned. libuv shares what it knows of a number among all its watchers, which
    must be gone before the number is: there, each wait has one of its own, and so has whoever waits beside another.
    """

    __slots__ = ()

    FIELDS = ("_reading", "_turn")

    _reading: Any

    def _prepare(self) -> None:
        super()._prepare()
        self._turn = BoundedSemaphore(1)
        self._reading = None

    def _hub_wait(self, fd: int, writable: bool, timeout: Optional[float]) -> None:
        if writable:
            wait_write(fd, timeout, HubTimeout)
            return
        loop = get_hub().loop
        reading = self._reading
        if reading is None and "libev" in type(loop).__module__:
            reading = self._reading = loop.io(fd, _READ)
        if reading is None or reading.callback is not None or reading.loop is not loop:
            wait_read(fd, timeout, HubTimeout)
        else:
            wait(reading, timeout, HubTimeout)

    def _hub_pause(self) -> None:
        sleep(0)
