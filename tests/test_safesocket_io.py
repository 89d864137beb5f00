"""SafeSocket moving bytes: blocking rules, whole buffers, files, and closes in the middle."""

from __future__ import annotations

import array
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hangup
import pytest
from hangup import ClosedHere, PeerGone, SafeSocket, TimedOut
from hangup.testing import reset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Pair = tuple[SafeSocket, socket.socket]
MORE_THAN_BUFFERS = b"0123456789abcdef" * (1 << 20)  # 16 MiB: no socket buffer holds it


def drain(peer: socket.socket, limit: int = 1 << 30) -> bytes:
    """Everything up to the end of the stream."""
    parts = []
    while limit > 0 and (part := peer.recv(min(limit, 1 << 16))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_recv_waits_for_the_peer(pair: Pair, running: Any, timeout: float | None) -> None:
    """With no timeout, or with one that does not pass."""
    sock, peer = pair
    sock.settimeout(timeout)
    reader = running(sock.recv, 10)
    reader.wait_blocked()
    peer.sendall(b"late")
    assert reader.outcome() == b"late"


def test_timeouts_are_sockets_own(pair: Pair) -> None:
    """Zero never waits, a positive one runs out, and a nonsensical one is refused."""
    sock, _ = pair
    sock.setblocking(False)
    assert (sock.gettimeout(), sock.getblocking()) == (0.0, False)
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    sock.settimeout(0.05)
    began = time.monotonic()
    with pytest.raises(socket.timeout, match="timed out"):
        sock.recv(1)
    assert time.monotonic() - began >= 0.05
    sock.setblocking(True)
    assert sock.gettimeout() is None
    with pytest.raises(ValueError, match="out of range"):
        sock.settimeout(-1)
    with pytest.raises(OverflowError):
        sock.settimeout(1e30)
    with pytest.raises(TypeError):
        sock.settimeout("soon")  # type: ignore[arg-type]
    assert sock.gettimeout() is None


@pytest.mark.parametrize("blocked", ["recv", "recv_into", "sendall", "send", "sendfile", "recvmsg"])
def test_close_wakes_whoever_is_blocked_and_does_not_wait(
    pair: Pair, running: Any, tmp_path: Path, blocked: str
) -> None:
    """The blocked call ends in ClosedHere; close returns at once."""
    sock, _ = pair
    path = tmp_path / "file"
    path.write_bytes(MORE_THAN_BUFFERS)

    def fill_then_send() -> None:
        while True:
            sock.send(b"x" * 65536)

    def send_a_file() -> None:
        with path.open("rb") as file:
            sock.sendfile(file)

    calls: dict[str, Callable[[], Any]] = {
        "recv": lambda: sock.recv(1),
        "recv_into": lambda: sock.recv_into(bytearray(10)),
        "sendall": lambda: sock.sendall(MORE_THAN_BUFFERS),
        "send": fill_then_send,
        "sendfile": send_a_file,
        "recvmsg": lambda: sock.recvmsg(10),
    }
    thread = running(calls[blocked])
    thread.wait_blocked()
    began = time.monotonic()
    sock.close()
    assert time.monotonic() - began < 1.0
    with pytest.raises(ClosedHere) as raised:
        thread.outcome()
    assert "test_safesocket_io.py" in raised.value.closed_by


def test_the_number_is_not_reused_while_somebody_is_inside(pair: Pair, running: Any) -> None:
    """Sockets that are opened during a close never get the number before the blocked reader has left."""
    sock, peer = pair
    number = sock.fileno()
    with sock._pin() as pinned:
        sock.close()
        others = [socket.socket() for _ in range(50)]
        assert pinned == number
        assert number not in [other.fileno() for other in others]
        assert peer.recv(1) == b""  # the peer sees the end at once
    for other in others:
        other.close()


def test_sendall_says_how_much_was_sent_when_the_peer_is_gone(pair: Pair, running: Any) -> None:
    """PeerGone, an OSError that old clauses catch, with bytes_sent."""
    sock, peer = pair
    writer = running(sock.sendall, MORE_THAN_BUFFERS)
    writer.wait_blocked()
    received = len(peer.recv(1000))
    reset(peer)
    with pytest.raises((ConnectionResetError, BrokenPipeError)) as raised:
        writer.outcome()
    assert isinstance(raised.value, PeerGone)
    assert received <= raised.value.bytes_sent < len(MORE_THAN_BUFFERS)


def test_sendall_says_how_much_was_sent_when_time_runs_out(pair: Pair) -> None:
    """TimedOut is a socket.timeout; what follows bytes_sent can still be sent."""
    sock, peer = pair
    sock.settimeout(0.1)
    with pytest.raises(socket.timeout) as raised:
        sock.sendall(MORE_THAN_BUFFERS)
    assert isinstance(raised.value, TimedOut)
    sent = raised.value.bytes_sent
    assert 0 < sent < len(MORE_THAN_BUFFERS)
    assert drain(peer, sent) == MORE_THAN_BUFFERS[:sent]


@pytest.mark.parametrize(
    "wrap",
    [bytearray, memoryview, lambda data: array.array("B", data), lambda data: memoryview(bytearray(data))],
)
def test_takes_any_bytes_like_object(pair: Pair, wrap: Callable[[bytes], Any]) -> None:
    """As the buffer protocol allows."""
    sock, peer = pair
    sock.sendall(wrap(b"abc"))
    assert sock.send(wrap(b"def")) == 3
    assert drain(peer, 6) == b"abcdef"


@pytest.mark.parametrize("nonsense", ["text", 1, None, [b"x"]])
def test_refuses_what_is_not_bytes(pair: Pair, nonsense: Any) -> None:
    """TypeError, and nothing is sent."""
    sock, peer = pair
    with pytest.raises(TypeError):
        sock.sendall(nonsense)
    sock.sendall(b"fine")
    assert peer.recv(10) == b"fine"


def test_a_mutable_buffer_is_copied_before_anybody_can_change_it(pair: Pair, running: Any) -> None:
    """Changing it during a blocked sendall changes nothing on the wire."""
    sock, peer = pair
    data = bytearray(MORE_THAN_BUFFERS)
    writer = running(sock.sendall, data)
    writer.wait_blocked()
    data[:] = b"\xff" * len(data)
    assert drain(peer, len(MORE_THAN_BUFFERS)) == MORE_THAN_BUFFERS
    writer.outcome()


def test_buffers_of_several_writers_are_not_mixed(pair: Pair) -> None:
    """Four threads, a slow reader: each buffer arrives in one piece."""
    sock, peer = pair
    size, each = 300_000, 12
    threads = [
        threading.Thread(target=lambda tag=tag: [sock.sendall(tag * size) for _ in range(each)])
        for tag in (b"a", b"b", b"c", b"d")
    ]
    for thread in threads:
        thread.start()
    stream = drain(peer, 4 * each * size)
    for thread in threads:
        thread.join()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert all(len(set(piece)) == 1 for piece in pieces)
    assert len(pieces) == 4 * each


def test_recv_into_stores_what_came(pair: Pair) -> None:
    """Up to nbytes, into any writable buffer; a small one is refused."""
    sock, peer = pair
    peer.sendall(b"abcdef")
    target = bytearray(b"......")
    assert sock.recv_into(target, 2) == 2
    assert target == b"ab...."
    assert sock.recv_into(memoryview(target)[2:]) == 4
    assert target == b"abcdef"
    with pytest.raises(ValueError, match="too small"):
        sock.recv_into(target, 7)
    with pytest.raises(TypeError):
        sock.recv_into(b"readonly")


def test_odd_sizes_are_handled_as_by_socket(pair: Pair) -> None:
    """Zero, negative, and more than memory holds."""
    sock, peer = pair
    peer.sendall(b"abc")
    assert sock.recv(0) == b""
    with pytest.raises(ValueError, match="negative"):
        sock.recv(-1)
    assert sock.recv(1 << 50) == b"abc"
    assert sock.send(b"") == 0


def test_flags_are_passed_on(pair: Pair, running: Any) -> None:
    """MSG_PEEK leaves it there, MSG_DONTWAIT does not wait, MSG_WAITALL waits for all."""
    sock, peer = pair
    with pytest.raises(BlockingIOError):
        sock.recv(1, socket.MSG_DONTWAIT)
    peer.sendall(b"abc")
    assert sock.recv(10, socket.MSG_PEEK) == b"abc"
    reader = running(sock.recv, 6, socket.MSG_WAITALL)
    reader.wait_blocked()
    peer.sendall(b"def")
    assert reader.outcome() == b"abcdef"
    peer.sendall(b"abcd")
    assert sock.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL) == b"abcd"
    assert sock.recv(8) == b"abcd"


def test_the_default_timeout_of_the_process_does_not_reach_a_socket_without_one(
    pair: Pair, running: Any
) -> None:
    """CPython's own code, which does the rarely called methods, would wait for it."""
    sock, peer = pair
    socket.setdefaulttimeout(0.05)
    try:
        reader = running(sock.recvmsg, 10)
        reader.wait_blocked()
        peer.sendall(b"late")
        assert reader.outcome()[0] == b"late"
    finally:
        socket.setdefaulttimeout(None)


def test_messages_and_datagram_calls_work_on_streams(pair: Pair) -> None:
    """sendmsg, recvmsg, sendto and recvfrom, as simple clients use them."""
    sock, peer = pair
    assert sock.sendmsg([b"ab", bytearray(b"cd")]) == 4
    assert peer.recv(10) == b"abcd"
    peer.sendall(b"efgh")
    assert sock.recvmsg(2)[0] == b"ef"
    assert sock.recvfrom(2)[0] == b"gh"


def test_connects_and_reports_refusal() -> None:
    """connect and connect_ex, with and without a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        for timeout in (None, 5):
            with SafeSocket(socket.socket()) as sock:
                sock.settimeout(timeout)
                sock.connect(address)
                accepted, _ = server.accept()
                accepted.close()
                assert sock.recv(1) == b""
    for timeout in (None, 5):
        with SafeSocket(socket.socket()) as sock:
            sock.settimeout(timeout)
            with pytest.raises(ConnectionRefusedError):
                sock.connect(address)


def test_files_from_makefile_keep_the_connection_until_they_are_closed(pair: Pair) -> None:
    """As socketserver relies on it."""
    sock, peer = pair
    with sock.makefile("rwb") as file:
        sock.close()
        file.write(b"question\n")
        file.flush()
        assert peer.recv(100) == b"question\n"
        peer.sendall(b"answer\n")
        assert file.readline() == b"answer\n"
    assert peer.recv(1) == b""


def test_a_gone_peer_does_not_kill_a_process_that_does_not_ignore_sigpipe(tmp_path: Path) -> None:
    """send and sendfile with SIGPIPE at its default."""
    code = """
import signal, socket, hangup, tempfile
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
for attempt in ("send", "sendfile"):
    ours, theirs = socket.socketpair()
    sock = hangup.SafeSocket(ours)
    theirs.close()
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100000); file.flush(); file.seek(0)
        try:
            sock.send(b"x") if attempt == "send" else sock.sendfile(file)
        except hangup.PeerGone:
            print("gone")
    sock.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gone", "gone"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "sendall", "sendmsg", "file"]), st.binary(max_size=5000)),
        max_size=20,
    )
)
def test_whatever_is_sent_arrives_in_order(parts: list[tuple[str, bytes]]) -> None:
    """Any mixture of ways to send."""
    ours, theirs = socket.socketpair()
    with SafeSocket(ours) as sock, theirs, sock.makefile("wb") as file:
        expected = b""
        for way, data in parts:
            if way == "file":
                file.write(data)
                file.flush()
            elif way == "sendall":
                sock.sendall(data)
            else:
                data = data[: sock.send(data)] if way == "send" else data[: sock.sendmsg([data])]
            expected += data
        sock.shutdown(socket.SHUT_WR)
        assert drain(theirs) == expected


def test_threads_waiting_for_the_lane_give_up_at_their_timeout(pair: Pair, running: Any) -> None:
    """A second writer does not wait longer than its own patience."""
    sock, peer = pair
    writer = running(sock.sendall, MORE_THAN_BUFFERS)
    writer.wait_blocked()
    sock.settimeout(0.1)
    with pytest.raises(socket.timeout):
        sock.sendall(b"x")
    assert hangup.stats()["open"] >= 1
    sock.settimeout(None)
    drain(peer, len(MORE_THAN_BUFFERS))
    writer.outcome()
