"""Row 6: more clients than the worker has descriptors, beside connections that are in use.

``accept`` fails with EMFILE and the gthread worker ends, with every connection it holds.
"""

from __future__ import annotations

from contextlib import ExitStack

from hangup._demo.scenarios._clients import Client, latency, request_bytes
from hangup._demo.scenarios._measure import Clock, Measurement, loud_lines
from hangup._demo.server import Server, Stack, wait_until
from hangup.testing import connect, reset

_LIMIT = 64
_LIVE = 10
_STORM = 100
_ANSWER_WITHIN_SECONDS = 1.0
_ACTS_WITHIN_SECONDS = 1.0
_RECOVERY_CAP_SECONDS = 8.0


def measure(stack: Stack, rounds: int = 1) -> Measurement:
    """Run ``rounds`` episodes of 100 clients against 64 descriptors, beside 10 that ask before and during it.

    recovery_s is the slowest first answer after an episode. ``extra`` has "lines" (what the log grew by
    during the episodes, gunicorn's own INFO left out), "live" (how many requests dropped_innocents could
    have been) and "refused" (clients of the storm that got no answer while it lasted, so that the limit was
    met).
    """
    clock = Clock("descriptor-limit", stack, rounds)
    limited = stack.with_("--keep-alive", "60", "--graceful-timeout", "1", nofile=_LIMIT)
    with Server(limited, "app_hello") as server:
        dropped = refused = lines = 0
        recovery = 0.0
        for _ in range(rounds):
            before = loud_lines(server.log())
            with ExitStack() as staying:
                live = [staying.enter_context(Client(server.address)) for _ in range(_LIVE)]
                for client in live:
                    client.get()
                refused += _fill(server, staying)
                dropped += sum(client.get() is None for client in live)
            recovery = max(recovery, latency(server.address, cap=_RECOVERY_CAP_SECONDS))
            server.wait_log_quiet()
            lines += loud_lines(server.log()) - before
        return clock.read(
            server,
            dropped_innocents=dropped,
            recovery_s=recovery,
            extra={"lines": lines, "live": rounds * _LIVE, "refused": refused},
        )


def _fill(server: Server, staying: ExitStack) -> int:
    """Let clients ask and stay until one is not answered, then let the rest ask all at once.

    Returns:
        How many were left when one was not answered, itself included.
    """
    boots = server.boots()
    left = _STORM
    while left and _asks(server, staying):
        left -= 1
    for _ in range(left):
        sock = connect(server.address, timeout=_ANSWER_WITHIN_SECONDS)
        staying.callback(reset, sock)
        # With the request sent, a worker that does take one in is not held up waiting for it.
        sock.sendall(request_bytes("/", close=False))
    # A worker that ends over this does so at once; one that does not is given the time to.
    wait_until(lambda: server.boots() > boots, _ACTS_WITHIN_SECONDS)
    return left


def _asks(server: Server, staying: ExitStack) -> bool:
    client = staying.enter_context(Client(server.address, timeout=_ANSWER_WITHIN_SECONDS))
    return client.get() is not None
