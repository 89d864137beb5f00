"""Foreign code that closes or replaces our number: nothing reaches whoever has it now."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hangup
import pytest
from hangup import Busy, ClosedHere, OwnershipViolation, SafeSocket
from hangup._gunicorn.faces import server_class


class Stolen:
    """A guarded socket whose number foreign code closed, and the stranger who got the number."""

    def __init__(self, sock: SafeSocket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.before = hangup.stats()
        os.close(number)
        self.stranger, self.strangers_peer = socket.socketpair()
        if self.stranger.fileno() != number:
            os.dup2(self.stranger.fileno(), number)
            self.stranger.close()
            self.stranger = socket.socket(fileno=number)
        self.strangers_peer.settimeout(0)

    def assert_stranger_is_untouched(self) -> None:
        """It is open, blocking as it was, and nothing came."""
        with pytest.raises(BlockingIOError):
            self.strangers_peer.recv(1)
        assert os.get_blocking(self.number)
        self.stranger.sendall(b"alive")
        assert self.strangers_peer.recv(5) == b"alive"

    def counted(self, name: str) -> int:
        """How much a total grew since the theft."""
        return hangup.stats()[name] - self.before[name]


@pytest.fixture
def stolen() -> Iterator[Stolen]:
    """A theft, just committed."""
    ours, theirs = socket.socketpair()
    with theirs:
        sock = SafeSocket(ours)
        case = Stolen(sock, sock.fileno())
        with case.stranger, case.strangers_peer:
            yield case
            sock.close()


def sends(tmp_path: Any) -> dict[str, Callable[[SafeSocket], object]]:
    """Every way to write."""
    path = tmp_path / "file"
    path.write_bytes(b"file")

    def sendfile(sock: SafeSocket) -> None:
        with path.open("rb") as file:
            sock.sendfile(file)

    return {
        "send": lambda sock: sock.send(b"x"),
        "sendall": lambda sock: sock.sendall(b"x"),
        "large sendall": lambda sock: sock.sendall(bytes(1 << 20)),
        "sendmsg": lambda sock: sock.sendmsg([b"x"]),
        "sendto": lambda sock: sock.sendto(b"x", None),
        "sendfile": sendfile,
        "makefile": lambda sock: sock.makefile("wb", buffering=0).write(b"x"),
    }


@pytest.mark.parametrize(
    "way", ["send", "sendall", "large sendall", "sendmsg", "sendto", "sendfile", "makefile"]
)
def test_a_write_to_a_stolen_number_is_a_violation_and_reaches_nobody(
    stolen: Stolen, tmp_path: Any, way: str
) -> None:
    """OwnershipViolation with EBADF, counted once as stolen; later writes are ClosedHere."""
    write = sends(tmp_path)[way]
    with pytest.raises(OwnershipViolation) as raised:
        write(stolen.sock)
    assert raised.value.errno == errno.EBADF
    assert raised.value.bytes_sent == 0
    stolen.assert_stranger_is_untouched()
    assert (stolen.counted("ownership_violations"), stolen.counted("stolen")) == (1, 1)
    with pytest.raises(ClosedHere):
        stolen.sock.send(b"x")
    stolen.sock.close()
    stolen.assert_stranger_is_untouched()
    assert (stolen.counted("stolen"), stolen.counted("closed")) == (1, 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        lambda sock: sock.shutdown(socket.SHUT_RDWR),
        lambda sock: sock.detach(),
        lambda sock: sock.dup(),
        lambda sock: sock.set_inheritable(True),
        lambda sock: sock.getpeername(),
    ],
    ids=["setsockopt", "shutdown", "detach", "dup", "set_inheritable", "getpeername"],
)
def test_other_uses_of_a_stolen_number_are_violations_too(
    stolen: Stolen, use: Callable[[SafeSocket], object]
) -> None:
    """They neither change the stranger nor hand it out."""
    with pytest.raises(OwnershipViolation) as raised:
        use(stolen.sock)
    assert raised.value.errno == errno.EBADF
    assert not os.get_inheritable(stolen.number)
    assert not stolen.stranger.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    stolen.assert_stranger_is_untouched()


def test_a_stolen_number_is_not_handed_out(stolen: Stolen) -> None:
    """fileno() is -1 then, as after a close."""
    assert stolen.sock.fileno() == -1
    stolen.assert_stranger_is_untouched()


def test_closing_after_a_theft_closes_nobody(stolen: Stolen) -> None:
    """Without a write between: the theft is found by the close."""
    stolen.sock.close()
    assert (stolen.counted("stolen"), stolen.counted("closed")) == (1, 0)
    stolen.assert_stranger_is_untouched()


def test_the_stranger_can_be_guarded(stolen: Stolen) -> None:
    """The old guard is no objection: the number is another connection's now."""
    with SafeSocket(stolen.stranger) as guarded:
        guarded.sendall(b"x")
        assert stolen.strangers_peer.recv(1) == b"x"
        with pytest.raises(ClosedHere):
            stolen.sock.send(b"x")
        stolen.sock.close()
        guarded.sendall(b"y")
        assert stolen.strangers_peer.recv(1) == b"y"
        assert (stolen.counted("ownership_violations"), stolen.counted("stolen")) == (1, 1)
        assert stolen.counted("open") == 0, "one gone, one new"


@pytest.mark.parametrize("operation", ["send", "close"])
def test_a_number_that_was_closed_and_not_reused_is_a_violation(operation: str) -> None:
    """Nothing is there any more: still EBADF as OwnershipViolation, and no second close."""
    ours, theirs = socket.socketpair()
    with theirs:
        sock = SafeSocket(ours)
        number = sock.fileno()
        before = hangup.stats()
        os.close(number)
        if operation == "send":
            with pytest.raises(OwnershipViolation):
                sock.send(b"x")
        sock.close()
        assert hangup.stats()["stolen"] == before["stolen"] + 1
        assert hangup.stats()["closed"] == before["closed"]


def test_dup2_over_our_number_is_a_theft() -> None:
    """The number never was free, but names another connection."""
    ours, theirs = socket.socketpair()
    stranger, strangers_peer = socket.socketpair()
    with theirs, stranger, strangers_peer:
        sock = SafeSocket(ours)
        number = sock.fileno()
        os.dup2(stranger.fileno(), number)
        with pytest.raises(OwnershipViolation):
            sock.sendall(b"x")
        strangers_peer.settimeout(0)
        with pytest.raises(BlockingIOError):
            strangers_peer.recv(1)
        sock.close()
        os.write(number, b"alive")
        assert strangers_peer.recv(5) == b"alive"
        os.close(number)


def test_the_books_balance_after_a_theft(stolen: Stolen) -> None:
    """adopted = closed + detached + stolen + open."""
    with contextlib.suppress(OwnershipViolation):
        stolen.sock.send(b"x")
    stolen.sock.close()
    stats = hangup.stats()
    assert stats["adopted"] == stats["closed"] + stats["detached"] + stats["stolen"] + stats["open"]


def test_detach_while_a_thread_is_blocked_is_refused_and_changes_nothing(
    pair: tuple[SafeSocket, socket.socket], running: Any
) -> None:
    """Busy; the thread gets its bytes, files and `with` go on as before."""
    sock, peer = pair
    file = sock.makefile("rb")
    thread = running(sock.recv, 1)
    thread.wait_blocked()
    with pytest.raises(Busy):
        sock.detach()
    peer.sendall(b"x")
    assert thread.outcome() == b"x"
    file.close()
    sock.sendall(b"still open")
    assert peer.recv(10) == b"still open"
    with sock:
        pass
    assert sock.fileno() == -1, "with closes what detach did not give away"


def test_detach_of_a_closed_socket_is_minus_one(pair: tuple[SafeSocket, socket.socket]) -> None:
    """As a stock socket's."""
    pair[0].close()
    assert pair[0].detach() == -1
    assert pair[0].detach() == -1


def test_closing_twice_does_not_close_the_next_owner_of_the_number() -> None:
    """The second close is nothing."""
    ours, theirs = socket.socketpair()
    sock = SafeSocket(ours)
    number = sock.fileno()
    sock.close()
    stranger = os.dup(theirs.fileno())
    if stranger != number:
        os.dup2(stranger, number)
        os.close(stranger)
    sock.close()
    os.fstat(number)
    os.close(number)
    theirs.close()


def test_close_by_several_threads_at_once_is_one_close() -> None:
    """Each round all of them start together; the descriptor goes once."""
    rounds, threads = 200, 4
    before = hangup.stats()
    socks: list[SafeSocket] = []
    together = threading.Barrier(threads + 1, timeout=20)

    def closer() -> None:
        for round_ in range(rounds):
            together.wait()
            socks[round_].close()
            together.wait()

    workers = [threading.Thread(target=closer) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for _ in range(rounds):
        ours, theirs = socket.socketpair()
        socks.append(SafeSocket(ours))
        together.wait()
        together.wait()
        assert theirs.recv(1) == b""
        theirs.close()
    for worker in workers:
        worker.join(20)
    stats = hangup.stats()
    assert stats["closed"] - before["closed"] == stats["adopted"] - before["adopted"] == rounds


def test_what_was_detached_is_known_as_such_when_its_number_is_somebody_else_s() -> None:
    """Its server may ask later than the next client comes."""
    here, there = socket.socketpair()
    server = server_class()(here.detach())
    application = server.application()
    number = application.detach()
    os.close(number)
    next_here, next_there = socket.socketpair()
    assert number in (next_here.fileno(), next_there.fileno())
    with there, next_here, next_there:
        taken = next_here if next_here.fileno() == number else next_there
        following = server_class()(taken.detach())  # which reserves the number for the server's poller
        assert following._number != number
        assert application._is_detached
        assert server._is_detached
        following.close()
        server.close()
