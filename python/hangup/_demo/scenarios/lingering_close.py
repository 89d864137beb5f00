"""Row 3: clients that are told ``Connection: close``, read the answer and do not hang up.

From gunicorn 26 the gthread worker waits for them on the thread that accepts, up to two seconds for each.
"""

from __future__ import annotations

import select
import socket
import statistics
from contextlib import ExitStack

from hangup._demo.scenarios._clients import latency, request_bytes
from hangup._demo.scenarios._measure import Clock, Measurement
from hangup._demo.server import Server, Stack, wait_until
from hangup.testing import connect, reset

CAP_SECONDS = 8.0
_SAMPLES = 15
_ANSWERED_WITHIN_SECONDS = 0.3
# A first answer slower than this is the finding; it is reported as it is rather than averaged with later
# ones.
_SLOW_SECONDS = 0.5


def measure(stack: Stack, rounds: int = 10, *, cap: float = CAP_SECONDS) -> Measurement:
    """Run with ``rounds`` clients that stay; compares fresh_latency_s with idle_latency_s.

    Args:
        stack: What to measure.
        rounds: How many clients do not hang up.
        cap: Seconds after which a fresh request is given up; a latency of ``cap`` means "at least".
    """
    clock = Clock("lingering-close", stack, rounds)
    with (
        Server(stack.with_("--graceful-timeout", "1", threads=8), "app_hello") as server,
        ExitStack() as staying,
    ):
        idle = statistics.median(latency(server.address, cap=cap) for _ in range(_SAMPLES))
        held = [_stay(server, staying) for _ in range(rounds)]
        # On a server that is not held up all answers are here at once; the fresh request then meets an idle
        # one.
        wait_until(lambda: len(select.select(held, [], [], 0)[0]) == rounds, _ANSWERED_WITHIN_SECONDS)
        first = latency(server.address, cap=cap)
        fresh = first
        if first < _SLOW_SECONDS:
            fresh = statistics.median(
                [first, *(latency(server.address, cap=cap) for _ in range(_SAMPLES - 1))]
            )
        staying.close()
        return clock.read(
            server,
            idle_latency_s=idle,
            fresh_latency_s=fresh,
            extra={"first_latency_s": first, "cap_s": cap},
        )


def _stay(server: Server, staying: ExitStack) -> socket.socket:
    """Ask for a page; returns the connection, with the answer unread and nothing hung up."""
    sock = connect(server.address, timeout=CAP_SECONDS)
    staying.callback(reset, sock)
    sock.sendall(request_bytes("/"))
    return sock
