"""The exception tree: what old ``except`` clauses catch, and what an instance carries."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import socket

import pytest
from hangup import exceptions
from hangup.exceptions import (
    Broken,
    Busy,
    CannotGuard,
    ClosedHere,
    HangupError,
    OwnershipViolation,
    PeerGone,
    TimedOut,
)

ALL = [HangupError, PeerGone, ClosedHere, Broken, TimedOut, Busy, OwnershipViolation, CannotGuard]

CAUGHT_BY = [
    (PeerGone, ConnectionResetError),
    (PeerGone, BrokenPipeError),
    (PeerGone, ConnectionError),
    (ClosedHere, BrokenPipeError),
    (ClosedHere, ConnectionError),
    (Broken, BrokenPipeError),
    (TimedOut, socket.timeout),
    (Busy, BlockingIOError),
]


def names(pairs: list[tuple[type, type]]) -> list[str]:
    return [f"{raised.__name__}-{old.__name__}" for raised, old in pairs]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_hangup_error_and_an_os_error(kind: type[HangupError]) -> None:
    """One except clause is enough for all of them, old or new."""
    assert issubclass(kind, HangupError)
    with pytest.raises(OSError, match=r"boom|timed out") as caught:
        raise kind(errno.EPIPE, "boom")
    assert type(caught.value) is kind


@pytest.mark.parametrize(("kind", "old"), CAUGHT_BY, ids=names(CAUGHT_BY))
def test_an_old_except_clause_still_catches_it(kind: type[HangupError], old: type[OSError]) -> None:
    """Code written for the standard library's sockets needs no change."""
    caught = False
    try:
        raise kind(errno.EPIPE, "gone")
    except old:
        caught = True
    assert caught


@pytest.mark.parametrize("kind", [OwnershipViolation, CannotGuard])
def test_our_own_defects_are_not_connection_errors(kind: type[HangupError]) -> None:
    """What people catch for clients that left does not swallow a defect of ours."""
    assert not issubclass(kind, (ConnectionError, BlockingIOError, TimeoutError, socket.timeout))


@pytest.mark.parametrize("kind", ALL)
def test_an_error_tells_errno_text_bytes_and_cause(kind: type[HangupError]) -> None:
    """Two arguments set errno and strerror; the rest has defaults and can be set."""
    error = kind(errno.ECONNRESET, "reset by peer")
    assert (error.errno, error.strerror) == (errno.ECONNRESET, "reset by peer")
    assert (error.bytes_sent, error.cause) == (0, "")
    error.bytes_sent, error.cause = 17, "peer_gone"
    assert (error.bytes_sent, error.cause) == (17, "peer_gone")
    assert (kind.bytes_sent, kind.cause) == (0, "")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("arguments", [(), (errno.EPIPE,), ("text only",)], ids=len)
def test_an_error_without_errno_cannot_be_built(
    kind: type[HangupError], arguments: tuple[object, ...]
) -> None:
    """errno is never None, so nobody has to ask."""
    with pytest.raises(TypeError):
        kind(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_pickle_and_copy(kind: type[HangupError]) -> None:
    """It can come back from a process pool and keep everything it carries."""
    error = kind(errno.EPIPE, "gone")
    error.bytes_sent, error.cause = 4096, "peer_gone"
    error.__dict__["closed_by"] = "views.py:3 in upgrade"
    pickled = [pickle.loads(pickle.dumps(error, version)) for version in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in [*pickled, copy.copy(error), copy.deepcopy(error)]:
        assert type(twin) is kind
        assert twin.args == (errno.EPIPE, "gone")
        assert (twin.errno, twin.strerror, str(twin)) == (errno.EPIPE, "gone", str(error))
        assert vars(twin) == vars(error)


def test_a_timeout_reads_as_it_always_did() -> None:
    """Callers compare the text of socket.timeout."""
    error = TimedOut(errno.ETIMEDOUT, "send timed out after 2 s")
    assert str(error) == "timed out"
    assert error.errno == errno.ETIMEDOUT


def test_closed_here_and_cannot_guard_have_details() -> None:
    """The extra attributes exist before anybody sets them."""
    assert ClosedHere(errno.EPIPE, "closed").closed_by == ""
    refused = CannotGuard(errno.ENOTSOCK, "a pipe")
    assert (refused.fd, refused.kind) == (-1, "")


def test_the_module_docstring_shows_the_whole_tree() -> None:
    """What is exported, drawn and documented is the same set of classes."""
    assert set(exceptions.__all__) == {kind.__name__ for kind in ALL}
    drawing = inspect.getdoc(exceptions) or ""
    for kind in ALL:
        assert f" {kind.__name__} " in drawing.replace("\n", " \n")
        assert inspect.getdoc(kind)
