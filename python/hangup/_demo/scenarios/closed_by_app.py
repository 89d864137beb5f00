"""Row 2: the application closes ``gunicorn.socket`` and then answers normally, on every worker class.

What WebSocket libraries do at the end of a session. The clients meanwhile wait, reset, half-close, stall or
vanish.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack

from hangup._demo.scenarios._clients import get_once, request_bytes
from hangup._demo.scenarios._measure import Clock, Measurement, ownership_violations
from hangup._demo.server import Server, Stack, wait_until
from hangup.testing import connect, half_close, reset, vanish

_WAYS = ("wait", "reset", "half-close", "stall", "vanish")
_HANDLED_WITHIN_SECONDS = 5.0


def measure(stack: Stack, rounds: int = 20) -> Measurement:
    """Run ``rounds`` connections, one after the other; counts ebadf_lines and tracebacks.

    ``extra`` has "taken", the connections that the application closed, "places", how often the log names the
    application's file, and with hangup "ownership_violations".
    """
    clock = Clock("closed-by-app", stack, rounds)
    with Server(stack.with_("--graceful-timeout", "1"), "app_closer") as server, ExitStack() as staying:
        for index in range(rounds):
            staying.callback(reset, _visit(server, _WAYS[index % len(_WAYS)]))
        wait_until(lambda: _taken(server) == rounds, _HANDLED_WITHIN_SECONDS, every=0.05)
        extra: dict[str, float] = {"taken": _taken(server)}
        staying.close()
        # The last answer may still be on its way into the socket that is no longer there.
        wait_until(
            lambda: ownership_violations(server) in (rounds, None), _HANDLED_WITHIN_SECONDS, every=0.05
        )
        violations = ownership_violations(server)
        if violations is not None:
            extra["ownership_violations"] = violations
        server.wait_log_quiet()
        extra["places"] = server.log().count("app_closer.py")
        return clock.read(server, extra=extra)


def _taken(server: Server) -> int:
    return int(get_once(server.address, "/taken") or -1)


def _visit(server: Server, way: str) -> socket.socket:
    """Make one request and behave in one way; returns the client's socket."""
    sock = connect(server.address, timeout=2.0)
    sock.sendall(request_bytes("/take", close=False))
    if way == "reset":
        reset(sock)
    elif way == "half-close":
        half_close(sock)
    elif way == "vanish":
        vanish(sock)
    elif way == "wait":
        sock.recv(1)
    return sock
