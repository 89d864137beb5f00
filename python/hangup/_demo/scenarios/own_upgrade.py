"""Row 8: the application answers 101 itself and returns an empty response.

``start_response`` was never called, so gunicorn fails to write headers, and writes its error page instead:
into a connection that speaks WebSocket by now.
"""

from __future__ import annotations

from hangup._demo.scenarios._clients import WebSocket
from hangup._demo.scenarios._measure import Clock, Measurement
from hangup._demo.server import Server, Stack


def measure(stack: Stack, rounds: int = 10) -> Measurement:
    """Run ``rounds`` sessions; http_bytes_in_websocket is what follows the application's only frame.

    ``extra`` has "echoed", the sessions whose message came back.
    """
    clock = Clock("own-upgrade", stack, rounds)
    echoed = after = 0
    with Server(stack.with_("--graceful-timeout", "1"), "app_own_upgrade") as server:
        for index in range(rounds):
            ws = WebSocket(server.address, "/")
            message = f"message {index}".encode()
            ws.send(message)
            echoed += ws.receive().payload == message
            after += len(ws.read_to_end())
            ws.close()
        return clock.read(server, http_bytes_in_websocket=after, extra={"echoed": echoed})
