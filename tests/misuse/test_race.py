"""The race that loses bytes to strangers, from Python: writers use a connection while another thread closes it and
opens the next, which gets its number.

The bytes of a generation are all the same, and differ from those of its neighbours: whatever else a peer
receives is a stranger's. The same race on stock sockets, written to by number, shows that the harness sees them.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hangup
import pytest
from hangup import ClosedHere, PeerGone, SafeSocket

WRITERS = 4
SLOTS = 4  # connections that are open at the same time: few, so that writers and the closer keep meeting
SIZES = (8, 200, 40_000, 70_000)  # bytes, one for each writer: the large ones are sent detached


class Generation:
    """A connection and the byte that is sent on it."""

    def __init__(self, number: int, guard: Callable[[socket.socket], Any]) -> None:
        ours, self.peer = socket.socketpair()
        self.peer.settimeout(20)
        self.byte = bytes([number % 251])
        self.payloads = [self.byte * size for size in SIZES]
        self.sock = guard(ours)


class Race:
    """Runs writers against a closer, and counts."""

    def __init__(self, guard: Callable[[socket.socket], Any], write: Callable[[Any, bytes], int]) -> None:
        self.guard, self.write = guard, write
        self.foreign = self.received = self.generations = 0
        self.sent = [0] * WRITERS
        self.closed_here = [0] * WRITERS
        self.bad_numbers = [0] * WRITERS
        self.failures: list[BaseException] = []
        self.numbers: set[int] = set()
        self.stop = threading.Event()
        self.current = [self.open() for _ in range(SLOTS)]

    def open(self) -> Generation:
        """The next generation."""
        self.generations += 1
        opened = Generation(self.generations, self.guard)
        self.numbers.add(opened.sock.fileno())
        return opened

    def writer(self, writer: int) -> None:
        """Sends on whatever is current, several times each, so that it is closed meanwhile."""
        turn = writer
        while not self.stop.is_set():
            turn += 1
            generation = self.current[turn % SLOTS]
            for _ in range(3):
                try:
                    self.sent[writer] += self.write(generation.sock, generation.payloads[writer])
                except (ClosedHere, PeerGone):
                    self.closed_here[writer] += 1
                    break
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno == errno.EBADF:
                        self.bad_numbers[writer] += 1
                    else:
                        self.failures.append(error)
                    break
                except BaseException as error:
                    self.failures.append(error)
                    return

    def replace(self, slot: int) -> None:
        """Closes, opens at once, and then looks what the peer of the closed one got."""
        closing = self.current[slot]
        closing.sock.close()
        self.current[slot] = self.open()
        self.inspect(closing)

    def inspect(self, generation: Generation) -> None:
        """Reads to the end."""
        with generation.peer as peer:
            try:
                while chunk := peer.recv(1 << 17):
                    self.received += len(chunk)
                    self.foreign += len(chunk) - chunk.count(generation.byte)
            except ConnectionResetError:
                return

    def run(self, enough: Callable[[Race], bool], seconds: float) -> None:
        """Until it is enough, or the time is over."""
        deadline = time.monotonic() + seconds
        writers = [threading.Thread(target=self.writer, args=(writer,)) for writer in range(WRITERS)]
        for thread in writers:
            thread.start()
        try:
            while not enough(self) and time.monotonic() < deadline:
                for slot in range(SLOTS):
                    self.replace(slot)
        finally:
            self.stop.set()
            for generation in self.current:
                generation.sock.close()
            for thread in writers:
                thread.join(20)
                assert not thread.is_alive()
            for generation in self.current:
                self.inspect(generation)


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    """The interpreter changes threads every 20 µs instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(20e-6)
    yield
    sys.setswitchinterval(before)


def assert_clean_race(generations: int, seconds: float) -> None:
    """Nothing foreign, nothing unexpected, nothing left."""
    descriptors, before = len(os.listdir("/proc/self/fd")), hangup.stats()
    race = Race(SafeSocket, lambda sock, data: sock.send(data))
    race.run(lambda race: race.generations >= generations, seconds)
    assert race.failures == []
    assert race.foreign == 0, "bytes of strangers"
    assert sum(race.bad_numbers) == 0, "EBADF"
    assert race.generations >= generations, "too slow"
    assert race.received == sum(race.sent), "bytes that somebody sent and nobody got"
    assert race.received > generations, "hardly anything was sent"
    assert sum(race.closed_here) > generations / 100, "hardly anybody met a close"
    assert len(race.numbers) < generations / 10, "numbers were not recycled"
    after = hangup.stats()
    assert (after["open"], after["ownership_violations"]) == (before["open"], before["ownership_violations"])
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_no_byte_reaches_a_stranger_and_no_write_meets_a_bad_number() -> None:
    """20 000 generations."""
    assert_clean_race(20_000, 60)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_byte_reaches_a_stranger_in_a_hundred_thousand_generations() -> None:
    """The long run."""
    assert_clean_race(100_000, 360)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_same_race_on_stock_sockets_reaches_strangers() -> None:
    """Writing by number, as everything below socket.send does: the harness sees foreign bytes, and EBADF."""

    def stock(sock: socket.socket) -> socket.socket:
        sock.setblocking(False)  # a stock thread that blocks in a write is not woken by a close
        return sock

    race = Race(stock, lambda sock, data: os.write(sock.fileno(), data))
    race.run(lambda race: race.foreign > 0 and sum(race.bad_numbers) > 0, 120)
    assert race.foreign > 0, "the harness would not have seen a stranger's bytes"
    assert sum(race.bad_numbers) > 0
