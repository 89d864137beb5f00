"""Signals during blocked calls: handlers run soon, may raise, write and close, and no byte is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Optional

import pytest
from hangup import Busy, ClosedHere, SafeSocket

Pair = tuple[SafeSocket, socket.socket]
LARGE = 5_000_000  # bytes, more than the kernel buffers
SOON = 0.8  # seconds
FRAME = bytes(range(251)) * (LARGE // 251)


class Interruption(Exception):
    """What a handler raises."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A guarded socket and its stock peer, over a Unix socket: its buffers are small."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    with contextlib.closing(SafeSocket(ours)) as sock, theirs:
        yield sock, theirs


@pytest.fixture
def big_file() -> Iterator[Any]:
    """A file with the frame."""
    with tempfile.TemporaryFile() as file:
        file.write(FRAME)
        file.seek(0)
        yield file


class Interrupter:
    """Sends this process a signal when the main thread waits in the kernel; records when it was handled."""

    def __init__(self) -> None:
        self.sent_at = 0.0
        self.handled_at: list[float] = []
        self.action: Callable[[], object] = lambda: None
        self.helpers: list[threading.Thread] = []

    def handle(self, number: int, frame: Optional[FrameType]) -> None:
        """The handler."""
        self.handled_at.append(time.monotonic())
        self.action()

    def when_blocked(self, calls: tuple[str, ...] = ("poll",), then: Callable[[], object] = bool) -> None:
        """Starts the thread that sends the signal, waits until it was handled, and then does ``then``."""

        def interrupt() -> None:
            assert until(lambda: waits_in(calls))
            self.sent_at = time.monotonic()
            os.kill(os.getpid(), signal.SIGUSR1)
            until(lambda: self.handled_at)
            then()

        self.spawn(interrupt)

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """A thread that the test waits for at its end."""
        self.helpers.append(threading.Thread(target=function, args=args, daemon=True))
        self.helpers[-1].start()

    def assert_prompt(self) -> None:
        """Handled, and soon."""
        assert self.handled_at
        assert self.handled_at[0] - self.sent_at < SOON


CALLS = {"poll": ("7", "271", "73"), "futex": ("202", "98")}  # x86-64, then arm64


def waits_in(calls: tuple[str, ...]) -> bool:
    """Whether the main thread sleeps in one of these system calls."""
    with open(f"/proc/self/task/{os.getpid()}/syscall") as syscall:
        return syscall.read().split()[0] in [number for call in calls for number in CALLS[call]]


def until(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    """Asks again and again; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    """Installed for SIGUSR1."""
    made = Interrupter()
    before = signal.signal(signal.SIGUSR1, made.handle)
    yield made
    signal.signal(signal.SIGUSR1, before)
    for thread in made.helpers:
        thread.join(20)
        assert not thread.is_alive()


BLOCKING = {
    "recv": lambda sock, _: sock.recv(1),
    "recv_into": lambda sock, _: sock.recv_into(bytearray(1)),
    "large recv": lambda sock, _: sock.recv(1 << 20),
    "readline": lambda sock, _: sock.makefile("rb").readline(),
    "send": lambda sock, _: [sock.send(FRAME) for _ in range(3)],
    "small sends": lambda sock, _: [sock.send(b"x" * 1000) for _ in range(5000)],
    "sendall": lambda sock, _: sock.sendall(FRAME),
    "sendfile": lambda sock, file: sock.sendfile(file),
    "wait": lambda sock, _: sock._wait(False, None),
    "copied file": lambda sock, file: sock._sendfile_use_send(file),
}


@pytest.mark.parametrize("timeout", [None, 30.0])
@pytest.mark.parametrize("call", BLOCKING)
def test_a_raising_handler_aborts_a_blocked_call_soon(
    pair: Pair, interrupter: Interrupter, big_file: Any, call: str, timeout: Optional[float]
) -> None:
    """Its exception is the call's; the socket is usable."""

    def stop() -> None:
        raise Interruption

    sock, peer = pair
    sock.settimeout(timeout)
    interrupter.action = stop
    interrupter.when_blocked()
    with pytest.raises(Interruption):
        BLOCKING[call](sock, big_file)
    interrupter.assert_prompt()
    peer.sendall(b"y")
    assert sock.recv(1) == b"y"


# A wait just ends when the socket is closed; a file keeps its socket open until it is closed itself.
@pytest.mark.parametrize("call", [call for call in BLOCKING if call not in ("wait", "readline")])
def test_a_handler_that_closes_makes_a_blocked_call_closed_here(
    pair: Pair, interrupter: Interrupter, big_file: Any, call: str
) -> None:
    """The close is this process's; the peer sees the end, and the call says who closed."""
    sock, peer = pair
    interrupter.action = sock.close
    interrupter.when_blocked()
    with pytest.raises(ClosedHere) as raised:
        BLOCKING[call](sock, big_file)
    interrupter.assert_prompt()
    assert "test_signals.py" in raised.value.closed_by
    assert sock.fileno() == -1
    received = bytearray()
    while data := peer.recv(1 << 16):
        received += data
    if call in ("sendall", "sendfile"):
        assert raised.value.bytes_sent == len(received)
        assert FRAME.startswith(received)


@pytest.mark.parametrize("call", ["recv", "wait"])
def test_a_handler_that_returns_lets_a_reader_go_on(pair: Pair, interrupter: Interrupter, call: str) -> None:
    """The call is neither ended nor restarted from the outside."""
    sock, peer = pair
    interrupter.when_blocked(then=lambda: peer.sendall(b"x"))
    assert BLOCKING[call](sock, None) in (b"x", True)
    interrupter.assert_prompt()


@pytest.mark.parametrize("handler_writes", [False, True])
@pytest.mark.parametrize("call", ["sendall", "sendfile"])
def test_the_frame_arrives_untorn_whatever_the_handler_writes(
    pair: Pair, interrupter: Interrupter, big_file: Any, call: str, handler_writes: bool
) -> None:
    """A write to the same socket from the handler gets Busy instead of waiting for itself."""
    sock, peer = pair
    refused: list[BaseException] = []

    def write() -> None:
        for attempt in (lambda: sock.sendall(b"intruder"), lambda: sock.send(b"intruder")):
            try:
                attempt()
            except Busy as error:
                refused.append(error)

    if handler_writes:
        interrupter.action = write
    received = bytearray()

    def read() -> None:
        while len(received) < len(FRAME):
            received.extend(peer.recv(1 << 16))

    interrupter.when_blocked(then=read)
    BLOCKING[call](sock, big_file)
    sock.sendall(b"next")
    interrupter.assert_prompt()
    assert until(lambda: len(received) >= len(FRAME))
    assert received[: len(FRAME)] == FRAME
    rest = bytes(received[len(FRAME) :])
    assert (rest or peer.recv(4)) == b"next"
    assert len(refused) == (2 if handler_writes else 0)
    assert all(error.errno == 11 for error in refused)  # type: ignore[attr-defined]


@pytest.mark.parametrize("outcome", ["returns", "raises", "closes"])
def test_handlers_run_while_the_write_lane_is_another_threads(
    pair: Pair, interrupter: Interrupter, running: Any, outcome: str
) -> None:
    """Parking for the lane is not a wait in the kernel that a signal ends: it looks for signals itself."""
    sock, peer = pair
    holder = running(sock.sendall, FRAME)
    holder.wait_blocked()
    received = bytearray()

    def read_all() -> None:
        while data := peer.recv(1 << 16):
            received.extend(data)

    def stop() -> None:
        raise Interruption

    interrupter.action = {"returns": bool, "raises": stop, "closes": sock.close}[outcome]
    interrupter.when_blocked(("futex",), then=read_all)
    if outcome == "returns":
        sock.sendall(b"behind")
        sock.close()
    elif outcome == "raises":
        with pytest.raises(Interruption):
            sock.sendall(b"never")
        assert until(lambda: len(received) == len(FRAME))
        sock.close()
    else:
        with pytest.raises(ClosedHere) as raised:
            sock.sendall(b"never")
        assert raised.value.bytes_sent == 0
    interrupter.assert_prompt()
    with contextlib.suppress(ClosedHere):
        holder.outcome(20)
    for thread in interrupter.helpers:
        thread.join(20)
    if outcome == "closes":
        assert FRAME.startswith(received)
    else:
        assert received == FRAME + (b"behind" if outcome == "returns" else b"")


@pytest.mark.parametrize("call", ["sendall", "sendfile", "copied file"])
@pytest.mark.parametrize("raised", [Interruption, OSError, ConnectionError, KeyboardInterrupt])
def test_a_handlers_exception_says_how_far_the_transfer_was(
    pair: Pair, interrupter: Interrupter, big_file: Any, call: str, raised: type[BaseException]
) -> None:
    """Nothing is sent twice, the file is positioned behind what was sent, bytes_sent is what the peer gets."""
    sock, peer = pair

    def stop() -> None:
        raise raised(5, "by the handler")

    interrupter.action = stop
    interrupter.when_blocked()
    with pytest.raises(raised, match="by the handler") as info:
        BLOCKING[call](sock, big_file)
    interrupter.assert_prompt()
    sent = info.value.bytes_sent  # type: ignore[attr-defined]
    sock.close()
    received = bytearray()
    while data := peer.recv(1 << 16):
        received += data
    assert len(received) == sent > 0
    assert FRAME.startswith(received)
    if call != "sendall":
        assert big_file.tell() == sent


@pytest.mark.parametrize("call", ["sendall", "sendfile"])
def test_a_storm_of_timers_leaves_the_data_intact(pair: Pair, big_file: Any, call: str) -> None:
    """100 Hz during a transfer of 5 MB to a reader that takes 20 KB at a time; both sides compare."""
    sock, peer = pair
    ticks = 0

    def tick(number: int, frame: Optional[FrameType]) -> None:
        nonlocal ticks
        ticks += 1

    received = bytearray()

    def read() -> None:
        while len(received) < len(FRAME):
            # Two ticks, at the latest a moment, between reads of the first part: the writer is stalled then.
            wanted = ticks + 2 if len(received) < 400_000 else 0
            until(lambda wanted=wanted: ticks >= wanted, 0.1)
            received.extend(peer.recv(20_000))

    before = signal.signal(signal.SIGALRM, tick)
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        BLOCKING[call](sock, big_file)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    thread.join(30)
    assert received == FRAME
    assert ticks > 20


def test_a_handler_runs_during_a_transfer_that_never_stalls(interrupter: Interrupter) -> None:
    """A signal that arrives while bytes are being copied is not left until the end of the buffer."""

    class Enough(Exception):
        """Raised by the handler, which ends the transfer."""

    def read() -> None:
        received = 0
        buffer = bytearray(1 << 20)
        while part := theirs.recv_into(buffer):
            received += part
            if received > 20_000_000 and not interrupter.sent_at:
                interrupter.sent_at = time.monotonic()
                os.kill(os.getpid(), signal.SIGUSR1)

    def enough() -> None:
        raise Enough

    interrupter.action = enough
    ours, theirs = socket.socketpair()
    much = bytes(2_000_000_000)  # pages that nobody writes to take no memory; seconds of work
    with theirs:
        with SafeSocket(ours) as sock:
            interrupter.spawn(read)
            with pytest.raises(Enough) as raised:
                sock.sendall(much)
        interrupter.helpers[-1].join(20)
    assert raised.value.bytes_sent < len(much)  # type: ignore[attr-defined]
    interrupter.assert_prompt()
