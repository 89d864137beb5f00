"""Any sequence of operations: a guarded socket does what a stock socket does, or raises the documented type."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Union

from hangup import ClosedHere, PeerGone, SafeSocket
from hypothesis import given, settings
from hypothesis import strategies as st

PATIENCE = 0.003  # seconds: the longest timeout of a sequence

data = st.binary(max_size=40)
size = st.integers(0, 50)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["send", "sendall", "peer sendall"]), data),
    st.tuples(st.just("sendmsg"), st.lists(data, max_size=3)),
    st.tuples(st.sampled_from(["recv", "recv_into", "recvmsg", "recvfrom", "peer recv"]), size),
    st.tuples(st.sampled_from(["shutdown", "peer shutdown"]), st.integers(0, 2)),
    st.tuples(st.just("settimeout"), st.sampled_from([0, 0.0, PATIENCE, -1])),
    st.tuples(st.just("peek"), size),
    st.tuples(
        st.sampled_from(
            [
                "close",
                "peer close",
                "fileno",
                "detach",
                "gettimeout",
                "getblocking",
                "getpeername",
                "family",
                "with",
            ]
        )
    ),
)
CPYTHONS_OWN = ("sendmsg", "recvmsg", "recvfrom")  # delegated: their errors are the standard library's
Sock = Union[socket.socket, SafeSocket]


def perform(sock: Sock, peer: socket.socket, name: str, *args: Any) -> Any:
    """One operation, in terms that do not depend on numbers."""
    if name.startswith("peer "):
        result = getattr(peer, name[5:])(*args)
    elif name == "recv_into":
        buffer = bytearray(args[0])
        count = sock.recv_into(buffer)
        result = count, bytes(buffer)
    elif name == "peek":
        result = sock.recv(args[0], socket.MSG_PEEK)
    elif name == "family":
        return sock.family
    elif name == "with":
        with sock:
            return None
    else:
        result = getattr(sock, name)(*args)
    if name == "detach" and result >= 0:
        os.close(result)
    if name in ("detach", "fileno"):
        return result >= 0
    return result


def outcome(sock: Sock, peer: socket.socket, operation: tuple[Any, ...]) -> Any:
    """What it gave, or the exception."""
    try:
        return perform(sock, peer, *operation)
    except (OSError, ValueError, TypeError) as error:
        return error


def assert_alike(name: str, expected: Any, got: Any) -> None:
    """The same value; or the same exception, or the type that docs promise in its place."""
    if name.startswith("peer "):
        assert repr(got) == repr(expected)
        return
    if name == "family" and isinstance(got, ClosedHere):
        return  # not asked before the close: there is nobody to ask any more
    if name == "settimeout" and getattr(expected, "errno", None) == errno.EBADF:
        assert got is None  # nothing is left that could wait
        return
    if name in CPYTHONS_OWN and type(got) is type(expected) and isinstance(got, OSError):
        assert got.errno == expected.errno
        return
    if not isinstance(expected, Exception):
        assert not isinstance(got, Exception), got
        assert got == expected
        return
    assert isinstance(got, Exception), (expected, got)
    code = getattr(expected, "errno", None)
    if isinstance(expected, socket.timeout):
        assert isinstance(got, socket.timeout)
        assert str(got) == str(expected) == "timed out"
    elif code == errno.EBADF:
        assert isinstance(got, ClosedHere)
        assert got.errno in (errno.EPIPE, errno.ENOTCONN)
    elif code in (errno.EPIPE, errno.ECONNRESET):
        assert isinstance(got, (ClosedHere, PeerGone))
        assert got.errno == code
    else:
        assert type(got) is type(expected)
        assert getattr(got, "errno", None) == code


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATIONS, max_size=14))
def test_every_sequence_of_operations_has_the_stock_results(operations: list[tuple[Any, ...]]) -> None:
    """On one connection each, step by step."""
    stock, stock_peer = socket.socketpair()
    ours, peer = socket.socketpair()
    sock = SafeSocket(ours)
    try:
        for one in (stock, sock, stock_peer, peer):
            one.settimeout(PATIENCE if one in (stock, sock) else 0)
        for operation in operations:
            expected, got = outcome(stock, stock_peer, operation), outcome(sock, peer, operation)
            assert_alike(operation[0], expected, got)
    finally:
        for one in (stock, sock, stock_peer, peer):
            one.close()
