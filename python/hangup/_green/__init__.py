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

import functools
import sys
from typing import Any, Optional


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
    waits = _waits_of(hub)
    names = {"__slots__": waits.FIELDS, "__module__": cls.__module__}  # bases in C leave no room for them
    return type(cls.__name__, (waits, cls), names)


def _waits_of(hub: str) -> Any:
    if hub == "gevent":
        from .gevent import GeventWaits

        return GeventWaits
    from .eventlet import EventletWaits

    return EventletWaits
