"""The failures that are known, each declared once.

Promised: a code keeps its meaning. HUP001 to HUP037 are what stacks of Python servers do when clients leave and
descriptors are shared, HUP038 to HUP099 what stands around them in logs; from HUP100 on they are ``hangup doctor``'s.
"""

from __future__ import annotations

from ..failure import Failure
from . import asgi, lifecycle, ownership, proxies, resources, sessions, signals, streams

FAILURES: tuple[Failure, ...] = tuple(
    sorted(
        (
            *ownership.FAILURES,
            *streams.FAILURES,
            *sessions.FAILURES,
            *asgi.FAILURES,
            *resources.FAILURES,
            *lifecycle.FAILURES,
            *signals.FAILURES,
            *proxies.FAILURES,
        ),
        key=lambda failure: failure.code,
    )
)
