"""Row 4: WebSocket sessions of flask-sock, opened and closed in order.

From gunicorn 26 the gthread worker counts a connection down twice when the WebSocket library has closed it
first.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing, suppress

from hangup._demo.scenarios._clients import CLOSE, WebSocket
from hangup._demo.scenarios._measure import Clock, Measurement, drift
from hangup._demo.server import Server, Stack


def measure(stack: Stack, rounds: int = 50) -> Measurement:
    """Run ``rounds`` sessions, one after the other; reads nr_conns_drift when all have gone.

    ``extra`` has "echoed", the sessions whose message came back, and "closed", those whose close was
    answered. (simple-websocket wakes its handler before it answers a close, and gunicorn may end the
    connection in between.)
    """
    clock = Clock("connection-count", stack, rounds)
    tally = Counter[str]()
    with Server(stack.with_("--graceful-timeout", "1", threads=8), "app_websocket") as server:
        for index in range(rounds):
            with suppress(OSError):
                _session(server, f"message {index}".encode(), tally)
        extra = {name: tally[name] for name in ("echoed", "closed")}
        return clock.read(server, nr_conns_drift=drift(server), extra=extra)


def _session(server: Server, message: bytes, tally: Counter[str]) -> None:
    """Open, echo, close; counts in ``tally`` what was answered.

    Raises:
        OSError: The connection ended before the answer came.
    """
    with closing(WebSocket(server.address, "/echo")) as ws:
        ws.send(message)
        tally["echoed"] += ws.receive().payload == message
        ws.send((1000).to_bytes(2, "big"), CLOSE)
        tally["closed"] += ws.receive().opcode == CLOSE
