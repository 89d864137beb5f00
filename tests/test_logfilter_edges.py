"""DisconnectFilter on several handlers, and exceptions whose attributes are somebody's code."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections.abc import Iterator

import pytest
from hangup import DisconnectFilter, logfilter
from raising import IN_SERVER, SERVER_LOG, raised_through, record_of

APP = ("shop.views", "view")


def pipe() -> OSError:
    return raised_through(BrokenPipeError(errno.EPIPE, "x"), *IN_SERVER)


@pytest.fixture
def streams() -> Iterator[list[io.StringIO]]:
    """What two handlers of the server's log write."""
    logger, both = logging.getLogger(SERVER_LOG), [io.StringIO(), io.StringIO()]
    known, level, propagate = list(logger.handlers), logger.level, logger.propagate
    logger.handlers[:] = [logging.StreamHandler(stream) for stream in both]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield both
    logger.handlers[:] = known
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.mark.parametrize("is_shared", [True, False], ids=["one filter", "one each"])
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_two_handlers_with_a_filter_show_the_same(
    streams: list[io.StringIO], is_shared: bool, level: int
) -> None:
    """dictConfig's usual way to attach a filter. It is one client that left, however many handlers hear of it."""
    logger, quiet = logging.getLogger(SERVER_LOG), DisconnectFilter()
    logger.setLevel(level)
    logger.handlers[0].addFilter(quiet)
    logger.handlers[1].addFilter(quiet if is_shared else DisconnectFilter())
    before = logfilter.statistics()["log_demoted"]
    logger.error("Socket error processing request.", exc_info=pipe())
    assert [bool(stream.getvalue()) for stream in streams] == [level == logging.DEBUG] * 2
    assert logfilter.statistics()["log_demoted"] == before + 1
    assert quiet.counts() == {"pipe": 1}


def test_each_action_counts_a_record() -> None:
    """``HANGUP=observe``, and a filter of the application's behind it."""
    before, record = logfilter.statistics(), record_of(pipe())
    for action in ("count", "count", "drop", "drop"):
        DisconnectFilter(action).filter(record)
    after = logfilter.statistics()
    assert {name: after[name] - before[name] for name in after} == {
        "log_counted": 1,
        "log_dropped": 1,
        "log_demoted": 0,
    }


class NoErrno(OSError):
    @property
    def errno(self) -> int:  # type: ignore[override]
        raise RuntimeError("there is no answer yet")


class NoName(OSError):
    @property
    def filename(self) -> str:  # type: ignore[override]
        raise RuntimeError("there is no answer yet")


class NoMembers(Exception):
    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise RuntimeError("there is no answer yet")


class Delegates(Exception):
    def __getattr__(self, name: str) -> object:
        return getattr(self.response, name)


@pytest.mark.parametrize("kind", [NoErrno, NoName, NoMembers, Delegates])
def test_attributes_that_raise_do_not_break_the_call_that_logs(kind: type[Exception]) -> None:
    """What a filter raises comes out of ``logger.exception()``."""
    with pytest.raises(kind) as raised:
        raise kind(errno.EPIPE, "x")
    assert logfilter.departure(record_of(raised.value)) is None


@pytest.mark.parametrize("kind", [NoErrno, NoName])
def test_an_error_that_computes_its_errno_is_nobodys_client(kind: type[OSError]) -> None:
    """Also where only the server's frames are seen, and behind a client that left."""
    foreign = raised_through(kind(errno.EPIPE, "x"), *IN_SERVER)
    assert logfilter.departure(record_of(foreign)) is None
    error = pipe()
    error.__cause__ = foreign
    assert logfilter.departure(record_of(error)) is None


@pytest.mark.parametrize(
    "hidden",
    [
        raised_through(OSError(errno.EBADF, "x"), *IN_SERVER),
        raised_through(ConnectionResetError(errno.ECONNRESET, "db"), APP),
    ],
    ids=["ours", "the application's"],
)
def test_a_group_behind_a_disconnect_does_not_hide_what_is_in_it(hidden: OSError) -> None:
    """The traceback shows every member."""
    name = "builtins" if sys.version_info >= (3, 11) else "exceptiongroup"
    kind = pytest.importorskip(name).ExceptionGroup
    error = pipe()
    error.__context__ = raised_in_server = kind("several", [pipe(), hidden])
    raised_in_server.__traceback__ = pipe().__traceback__
    assert logfilter.departure(record_of(error)) is None


def test_what_a_wsgi_application_of_uvicorn_iterates_over_is_its_own() -> None:
    """``iter(partial(upstream.recv, 8192), b"")`` has no frame."""
    frames = [
        ("uvicorn.protocols.http.h11_impl", "run_asgi"),
        ("uvicorn.middleware.wsgi", "__call__"),
        ("concurrent.futures.thread", "run"),
        ("uvicorn.middleware.wsgi", "wsgi"),
    ]
    error = raised_through(ConnectionResetError(errno.ECONNRESET, "upstream"), *frames)
    assert logfilter.departure(record_of(error, logger="uvicorn.error")) is None


def test_a_request_of_a_session_that_has_ended_is_a_client_s_affair() -> None:
    """engineio writes its ``KeyError`` with the quotes that one has as text."""
    engineio = pytest.importorskip("engineio")
    server = engineio.Server(async_mode="threading", logger=logging.getLogger("engineio.server"))
    session = engineio.socket.Socket(server, "ended")
    session.closed = True
    server.sockets["ended"] = session
    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "EIO=4&transport=polling&sid=ended"}
    judge = DisconnectFilter(action="count")
    logger = logging.getLogger("engineio.server")
    logger.addFilter(judge)
    try:
        server.handle_request(environ, lambda *_: None)
    finally:
        logger.removeFilter(judge)
    assert judge.counts() == {"stale_session": 1}
