"""Row 4: WebSocket sessions of flask-sock, opened and closed in order.

From gunicorn 26 the gthread worker counts a connection down twice when the WebSocket library has closed it
first.
"""

from __future__ import annotations

from hangup._demo.scenarios._clients import CLOSE, WebSocket
from hangup._demo.scenarios._measure import Clock, Measurement, drift
from hangup._demo.server import Server, Stack


def measure(stack: Stack, rounds: int = 50) -> Measurement:
    """Run ``rounds`` sessions, one after the other; reads nr_conns_drift when all have gone.

    ``extra`` has "echoed", the sessions whose message came back and whose close was answered.
    """
    clock = Clock("connection-count", stack, rounds)
    with Server(stack.with_("--graceful-timeout", "1", threads=8), "app_websocket") as server:
        echoed = sum(_session(server, index) for index in range(rounds))
        return clock.read(server, nr_conns_drift=drift(server), extra={"echoed": echoed})


def _session(server: Server, index: int) -> bool:
    """Open, echo, close; returns whether all of it was answered."""
    try:
        ws = WebSocket(server.address, "/echo")
    except OSError:
        return False
    message = f"message {index}".encode()
    try:
        ws.send(message)
        echo = ws.receive()
        ws.send((1000).to_bytes(2, "big"), CLOSE)
        return echo.payload == message and ws.receive().opcode == CLOSE
    except OSError:
        return False
    finally:
        ws.close()
