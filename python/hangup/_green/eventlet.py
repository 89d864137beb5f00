"""Waiting in eventlet's hub."""

from __future__ import annotations

from typing import Optional

from eventlet import sleep
from eventlet.hubs import trampoline
from eventlet.semaphore import BoundedSemaphore

from .waits import GreenWaits, HubTimeout


class EventletWaits(GreenWaits):
    """Each wait is known to the hub by its number."""

    __slots__ = ()

    def _prepare(self) -> None:
        super()._prepare()
        self._turn = BoundedSemaphore(1)

    def _hub_wait(self, fd: int, writable: bool, timeout: Optional[float]) -> None:
        trampoline(fd, read=not writable, write=writable, timeout=timeout, timeout_exc=HubTimeout)

    def _hub_pause(self) -> None:
        sleep(0)
