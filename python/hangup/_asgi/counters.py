"""What was counted about the clients of ASGI servers, in this process."""

from __future__ import annotations

_counted = {
    "asgi_sends_after_gone": 0,
    "asgi_silent_clients": 0,
    "asgi_idle_clients": 0,
    "asgi_slow_clients": 0,
    "asgi_queue_overflows": 0,
}


def count(name: str) -> None:
    """Adds one."""
    _counted[name] += 1


def statistics() -> dict[str, int]:
    """Everything, by name."""
    return dict(_counted)
