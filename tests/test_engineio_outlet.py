"""The queue of an Engine.IO session, where it becomes the way to a native connection."""

from __future__ import annotations

import queue
import socket
import sys
import threading
from typing import Any, Optional

import pytest
from hangup import _hangup
from hangup._websocket.outlet import NOOP, outlet_class


class Packet:
    """As engineio's, as far as it is used."""

    def __init__(self, number: int, packet_type: int = 4) -> None:
        self.number = number
        self.packet_type = packet_type

    def encode(self) -> str:
        return str(self.number)


class Peer:
    """A native connection, and its client."""

    def __init__(self) -> None:
        ours, self._socket = socket.socketpair()
        limits = {"max_message": 0, "max_queued": 1 << 20, "stall_limit": 10.0, "close_limit": 0.1}
        self.native = _hangup.WebSocket(ours.detach(), b"", None, **limits)

    def received(self) -> list[Optional[int]]:
        """All that comes until the stream ends; None for a close frame."""
        self.native.close()
        with self._socket, self._socket.makefile("rb") as stream:
            frames: list[Optional[int]] = []
            while (head := stream.read(2)) and head[0] & 15 == 1:
                frames.append(int(stream.read(head[1])))
            if head:
                frames.append(None)
            return frames


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
        outlet, peer = outlet_class(queue.Queue)(), Peer()
        for number in range(100):
            outlet.put(Packet(number))
        attaching = threading.Thread(target=outlet.attach, args=(peer.native,))
        attaching.start()
        for number in range(100, 200):
            outlet.put(Packet(number))
        attaching.join()
        assert peer.received() == [*range(200), None]


def test_the_end_of_a_poll_that_never_came_is_not_sent_on_the_websocket() -> None:
    """Engine.IO's NOOP, put in when the client probes."""
    outlet, peer = outlet_class(queue.Queue)(), Peer()
    outlet.put(Packet(1))
    outlet.put(Packet(2, NOOP))
    outlet.put(Packet(3))
    outlet.attach(peer.native)
    assert peer.received() == [1, 3, None]


def test_a_disconnect_that_waits_for_the_queue_returns_when_it_is_attached() -> None:
    """``engineio.Socket.close(wait=True)`` during an upgrade."""
    outlet = outlet_class(queue.Queue)()
    outlet.put(None)
    waiting = threading.Thread(target=outlet.join, daemon=True)
    waiting.start()
    peer = Peer()
    outlet.attach(peer.native)
    waiting.join(10)
    assert not waiting.is_alive()
    assert peer.received() == [None]


def test_each_poll_that_waits_is_told_once() -> None:
    """Filled, displaced by another poll, or attached meanwhile."""
    told: list[tuple[str, bool]] = []
    outlet = outlet_class(queue.Queue)()
    for name in ("first", "second"):
        outlet.when_filled(lambda filled, name=name: told.append((name, filled)))
    assert told == [("first", False)]
    outlet.put(Packet(1))
    assert told == [("first", False), ("second", True)]
    peer = Peer()
    outlet.attach(peer.native)
    outlet.when_filled(lambda filled: told.append(("third", filled)))
    assert told[2:] == [("third", True)]
    assert peer.received() == [1, None]
