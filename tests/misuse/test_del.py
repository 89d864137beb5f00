"""Destructors: what goes wrong in them is reported where Python reports it, and nowhere else."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import hangup
import pytest
from hangup import SafeSocket


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """The exceptions that reached sys.unraisablehook, without the frames, which keep the object alive."""
    seen: list[BaseException] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda report: seen.append(report.exc_value.with_traceback(None))
    )
    yield seen
    seen.clear()


class RaisesInDel(SafeSocket):
    """Its destructor fails before anything is closed."""

    def __del__(self) -> None:
        raise KeyError("in __del__")


class RaisesInClose(SafeSocket):
    """Its close fails; the destructor is the library's."""

    def close(self) -> None:
        raise KeyError("in close")


class RaisesInRealClose(SafeSocket):
    """What the destructor calls fails."""

    def _real_close(self) -> None:
        raise KeyError("in _real_close")


def lost(kind: type[SafeSocket]) -> socket.socket:
    """Makes a socket, loses it, and gives its peer."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        kind(ours)
        gc.collect()
    return theirs


@pytest.mark.parametrize("kind", [RaisesInDel, RaisesInRealClose])
def test_an_exception_in_a_destructor_reaches_the_hook_and_the_socket_is_closed(
    unraisable: list[BaseException], kind: type[SafeSocket]
) -> None:
    """Once, and the peer sees the end all the same."""
    with lost(kind) as peer:
        assert [type(error) for error in unraisable] == [KeyError]
        assert peer.recv(1) == b""


def test_a_close_that_raises_is_not_the_destructors_affair(unraisable: list[BaseException]) -> None:
    """The destructor closes natively; the with statement passes the exception on."""
    with lost(RaisesInClose) as peer:
        assert unraisable == []
        assert peer.recv(1) == b""
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(KeyError, match="in close"), RaisesInClose(ours) as sock:
        pass
    sock._real_close()


def test_a_subclass_that_fails_to_initialise_leaves_nothing_open(unraisable: list[BaseException]) -> None:
    """The descriptor was taken over already: it is closed."""

    class Unfinished(SafeSocket):
        def __init__(self, sock: socket.socket) -> None:
            raise KeyError("in __init__")

    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with theirs, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(KeyError, match="in __init__") as raised:
            Unfinished(ours)
        raised.value.__traceback__ = None
        del raised
        gc.collect()
        assert theirs.recv(1) == b""
    assert unraisable == []


def test_an_unclosed_socket_warns_and_is_closed() -> None:
    """ResourceWarning names it, as a stock socket's does."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    sock = SafeSocket(ours)
    number = sock.fileno()
    with theirs, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del sock
        gc.collect()
        assert theirs.recv(1) == b""
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert f"unclosed <hangup.SafeSocket fd={number}," in str(caught[0].message)
    assert caught[0].filename == __file__


def test_a_warning_that_is_an_error_reaches_the_hook_and_the_socket_is_closed(
    unraisable: list[BaseException],
) -> None:
    """With -W error the destructor is cut short; the native part closes."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with theirs, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        sock = SafeSocket(ours)
        del sock
        gc.collect()
        assert [type(error) for error in unraisable] == [ResourceWarning]
        unraisable.clear()
        assert theirs.recv(1) == b""


@pytest.mark.parametrize("end", ["close", "detach", "with", "shutdown and close"])
def test_a_closed_socket_does_not_warn(end: str) -> None:
    """Nor a detached one."""
    ours, theirs = socket.socketpair()
    with theirs, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sock = SafeSocket(ours)
        if end == "with":
            with sock:
                pass
        elif end == "detach":
            socket.socket(fileno=sock.detach()).close()
        else:
            if end != "close":
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        del sock
        gc.collect()
    assert caught == []


def test_a_cycle_collected_by_another_thread_closes(unraisable: list[BaseException]) -> None:
    """The collector runs on whichever thread allocates."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)

    class Node(SafeSocket):
        me: Any

    gc.collect()
    gc.disable()
    try:
        sock = Node(ours)
        sock.me = sock
        reference = weakref.ref(sock)
        del sock
        assert reference() is not None
        with theirs, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join(20)
            assert reference() is None
            assert theirs.recv(1) == b""
    finally:
        gc.enable()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert unraisable == []


def test_a_weak_reference_is_told_and_does_not_keep_the_socket() -> None:
    """The callback runs, the referent is gone."""
    ours, theirs = socket.socketpair()
    told: list[object] = []
    with theirs:
        sock = SafeSocket(ours)
        reference = weakref.ref(sock, told.append)
        kept = weakref.WeakKeyDictionary({sock: 1})
        sock.close()
        del sock
        gc.collect()
        assert reference() is None
        assert told == [reference]
        assert not kept


def test_a_socket_that_its_destructor_revives_is_usable_or_closed_here() -> None:
    """It is closed by the library's __del__, open after one that only revives."""
    revived: list[SafeSocket] = []

    class Phoenix(SafeSocket):
        def __del__(self) -> None:
            revived.append(self)

    class ClosedPhoenix(SafeSocket):
        def __del__(self) -> None:
            super().__del__()
            revived.append(self)

    with lost(Phoenix) as peer:
        (sock,) = revived
        sock.sendall(b"x")
        assert peer.recv(1) == b"x"
        sock.close()
        assert peer.recv(1) == b""
    revived.clear()
    with lost(ClosedPhoenix) as peer:
        (sock,) = revived
        with pytest.raises(hangup.ClosedHere):
            sock.send(b"x")
        assert peer.recv(1) == b""
    before = hangup.stats()["closed"]
    revived.clear()
    del sock
    gc.collect()
    assert hangup.stats()["closed"] == before


def test_a_thread_that_is_inside_keeps_a_lost_socket_alive(running: Any) -> None:
    """A bound method being called holds its object: nothing is closed under the call."""
    ours, theirs = socket.socketpair()
    with theirs:
        thread = running(SafeSocket(ours).recv, 1)
        thread.wait_blocked()
        gc.collect()
        theirs.sendall(b"x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            assert thread.outcome() == b"x"
            del thread
            gc.collect()
