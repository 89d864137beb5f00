"""The scenarios, in the order the demonstration runs them."""

from __future__ import annotations

from hangup._demo.scenarios import (
    closed_by_app,
    connection_count,
    descriptor_limit,
    lingering_close,
    own_upgrade,
    parked_close,
    stray_byte,
    wrong_client,
)
from hangup._demo.scenarios._measure import Measurement, Scenario

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "wrong-client", "a stalled download is hung up on, the next client comes", wrong_client.measure, 1
    ),
    Scenario(
        "closed-by-app",
        "the application closes the socket, then answers",
        closed_by_app.measure,
        20,
        workers=("sync", "gthread", "gevent", "gevent_pywsgi", "eventlet"),
    ),
    Scenario("lingering-close", "clients that do not hang up", lingering_close.measure, 10),
    Scenario(
        "connection-count",
        "WebSocket sessions open and close",
        connection_count.measure,
        50,
        modules=("flask_sock",),
    ),
    Scenario("parked-close", "another thread closes a parked connection", parked_close.measure, 10),
    Scenario("descriptor-limit", "more clients than descriptors", descriptor_limit.measure, 1),
    Scenario("stray-byte", "a request outlives its worker and writes files", stray_byte.measure, 1),
    Scenario("own-upgrade", "the application answers 101 itself", own_upgrade.measure, 10),
)

__all__ = ["SCENARIOS", "Measurement", "Scenario"]
