"""The queue of an Engine.IO session, where it becomes the way to a native connection."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any, Optional

import pytest
from hangup._websocket.outlet import NOOP, outlet_class


class Packet:
    """As engineio's, as far as it is used."""

    def __init__(self, number: int, packet_type: int = 4) -> None:
        self.number = number
        self.packet_type = packet_type

    def encode(self) -> int:
        return self.number


class Native:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.sent: list[Optional[int]] = []

    def send(self, encoded: int) -> None:
        self.sent.append(encoded)

    def close(self, code: int) -> None:
        self.sent.append(None)


@pytest.fixture
def often() -> Any:
    """Threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_packets_keep_their_order_across_the_attachment(often: None) -> None:
    """Those that wait, and those that are put meanwhile."""
    for _ in range(30):
        outlet, native = outlet_class(queue.Queue)(), Native()
        for number in range(100):
            outlet.put(Packet(number))
        attaching = threading.Thread(target=outlet.attach, args=(native,))
        attaching.start()
        for number in range(100, 200):
            outlet.put(Packet(number))
        attaching.join()
        assert native.sent == list(range(200))


def test_the_end_of_a_poll_that_never_came_is_not_sent_on_the_websocket() -> None:
    """Engine.IO's NOOP, put in when the client probes."""
    outlet, native = outlet_class(queue.Queue)(), Native()
    outlet.put(Packet(1))
    outlet.put(Packet(2, NOOP))
    outlet.put(Packet(3))
    outlet.attach(native)
    assert native.sent == [1, 3]


def test_a_disconnect_that_waits_for_the_queue_returns_when_it_is_attached() -> None:
    """``engineio.Socket.close(wait=True)`` during an upgrade."""
    outlet = outlet_class(queue.Queue)()
    outlet.put(None)
    waiting = threading.Thread(target=outlet.join, daemon=True)
    waiting.start()
    native = Native()
    outlet.attach(native)
    waiting.join(10)
    assert not waiting.is_alive()
    assert native.sent == [None]


def test_each_poll_that_waits_is_told_once() -> None:
    """Filled, displaced by another poll, or attached meanwhile."""
    told: list[tuple[str, bool]] = []
    outlet = outlet_class(queue.Queue)()
    for name in ("first", "second"):
        outlet.when_filled(lambda filled, name=name: told.append((name, filled)))
    assert told == [("first", False)]
    outlet.put(Packet(1))
    assert told == [("first", False), ("second", True)]
    outlet.attach(Native())
    outlet.when_filled(lambda filled: told.append(("third", filled)))
    assert told[2:] == [("third", True)]
