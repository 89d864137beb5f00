"""Whatever an application's own OSError looks like, it passes: every level, every logger, every channel."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hangup import logfilter
from hangup._logs import channels, summary
from hangup._logs import filter as books
from hypothesis import given
from hypothesis import strategies as st
from raising import APP_MODULES, LEVELS, Frame, raised_through, record_of

LOGGERS = sorted(logfilter.TABLE)
CHANNELS = [name for name in LOGGERS if name.startswith("hangup.")]
KINDS = [
    OSError,
    ConnectionResetError,
    BrokenPipeError,
    ConnectionAbortedError,
    TimeoutError,
    socket.gaierror,
]


class DatabaseGone(ConnectionResetError):
    """A driver's."""


def server_frames(logger: str) -> list[Frame]:
    """Modules that the logger's row takes for the server's or its carriers."""
    row = logfilter.TABLE[logger]
    functions = ("write", "handle", "run", "_flush", *sorted(row.runs_app))
    return [(module, function) for module in (*row.server, *row.carriers) for function in functions]


@st.composite
def application_errors(draw: st.DrawFn, loggers: list[str] = LOGGERS) -> tuple[str, OSError]:
    """A logger, and an error of an application that the logger's server called, whoever raised it below."""
    logger = draw(st.sampled_from(loggers))
    frames = st.sampled_from(server_frames(logger))
    module = draw(st.sampled_from(APP_MODULES) | st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True))
    row = logfilter.TABLE[logger]
    if module.split(".")[0] in {name.split(".")[0] for name in (*row.server, *row.carriers)}:
        module = "shop.views"
    above, below = draw(st.lists(frames, max_size=5)), draw(st.lists(frames, max_size=4))
    kind = draw(st.sampled_from([*KINDS, DatabaseGone]))
    number = draw(st.sampled_from(sorted(errno.errorcode)) | st.none())
    error = kind("lost connection") if number is None else kind(number, "lost connection")
    return logger, raised_through(error, *above, (module, "query"), *below)


@given(
    found=application_errors(),
    level=st.sampled_from(LEVELS),
    action=st.sampled_from(sorted(logfilter.ACTIONS)),
)
def test_an_applications_oserror_passes_on_every_logger(
    found: tuple[str, OSError], level: int, action: str
) -> None:
    """One frame of it is enough, wherever, and the record is as it was."""
    logger, error = found
    record = record_of(error, level, logger)
    before = dict(vars(record))
    quiet = logfilter.DisconnectFilter(action)
    assert quiet.filter(record)
    assert vars(record) == before
    assert quiet.counts() == {}


@given(found=application_errors(), level=st.sampled_from(LEVELS))
def test_so_it_does_when_a_server_says_only_its_traceback(found: tuple[str, OSError], level: int) -> None:
    """The text of a traceback, logged while the error is handled."""
    import traceback

    logger, error = found
    try:
        raise error
    except OSError:
        for begin in ("", "Error on request:\n"):
            record = logging.LogRecord(logger, level, __file__, 1, begin + traceback.format_exc(), None, None)
            assert logfilter.departure(record) is None


@given(
    text=st.sampled_from([text.begins for row in logfilter.TABLE.values() for text in row.texts]),
    more=st.text(max_size=20),
    logger=st.sampled_from(sorted(logfilter.TABLE)),
)
def test_an_applications_own_words_pass_even_if_they_are_the_servers(
    text: str, more: str, logger: str
) -> None:
    """A text counts only if the server's own code logs it."""
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, text + more, None, None)
    assert logfilter.departure(record) is None


# ---- the channels that are not logging


@pytest.fixture
def installed() -> Iterator[logfilter.DisconnectFilter]:
    """The installed filter, and no summary."""
    yield logfilter.install("demote", summary_every=0)
    logfilter.uninstall()
    summary.every(None)


def thread_error(error: BaseException) -> Any:
    return threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))


def test_a_hook_hears_only_what_is_not_about_a_client(installed: logfilter.DisconnectFilter) -> None:
    """The previous hook gets the very arguments."""
    heard: list[Any] = []
    hook = channels.excepthook(heard.append)
    hook(
        thread_error(
            raised_through(
                BrokenPipeError(errno.EPIPE, "x"), ("threading", "run"), ("engineio.socket", "writer")
            )
        )
    )
    assert heard == []
    assert installed.counts() == {"pipe": 1}
    for error in (
        raised_through(BrokenPipeError(errno.EPIPE, "x"), ("threading", "run"), ("shop.views", "work")),
        raised_through(OSError(errno.EBADF, "x"), ("threading", "run"), ("engineio.socket", "writer")),
    ):
        args = thread_error(error)
        hook(args)
        assert heard[-1] is args
    installed.action = "count"
    hook(
        args := thread_error(raised_through(BrokenPipeError(errno.EPIPE, "x"), ("engineio.socket", "writer")))
    )
    assert heard[-1] is args


@given(found=application_errors(CHANNELS))
def test_every_channel_hands_an_applications_error_on(found: tuple[str, OSError]) -> None:
    """Nothing is kept from its place."""
    channel, error = found
    logfilter.install("drop", summary_every=0)
    try:
        assert not books.hear(channel, "x", error)
    finally:
        logfilter.uninstall()
        summary.every(None)


@pytest.mark.usefixtures("installed")
def test_what_was_demoted_is_a_record_of_its_channel_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """With the exception, for who looks."""
    caplog.set_level(logging.DEBUG, "hangup.threads")
    error = raised_through(BrokenPipeError(errno.EPIPE, "x"), ("engineio.socket", "writer"))
    channels.excepthook(print)(thread_error(error))
    (record,) = caplog.records
    assert (record.name, record.levelname, record.exc_info and record.exc_info[1]) == (
        "hangup.threads",
        "DEBUG",
        error,
    )


@pytest.mark.parametrize(
    "error", [OSError([], "x"), OSError({}, "x", "file"), OSError(), KeyError(), KeyError(1, 2)], ids=repr
)
@pytest.mark.parametrize("logger", LOGGERS)
def test_odd_errors_pass(error: Exception, logger: str) -> None:
    """Whatever somebody put into them."""

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("not to be asked")

        __repr__ = __str__

    for each in (error, KeyError(Unprintable()), RuntimeError(Unprintable())):
        assert logfilter.departure(record_of(each, logger=logger)) is None
