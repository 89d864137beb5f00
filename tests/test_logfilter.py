"""DisconnectFilter: quiet about clients that left, and about nothing else."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import hangup
import pytest
from hangup import DisconnectFilter, logfilter
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
from hypothesis import given
from hypothesis import strategies as st
from raising import (
    APP_MODULES,
    FILE_WRAPPER,
    HANDLE,
    HANDLE_REQUEST,
    IN_SERVER,
    LEVELS,
    RESPONSE_WRITE,
    SERVER_LOG,
    UNDER_GEVENT,
    UNDER_HANGUP,
    WRITE,
    Frame,
    raised_through,
    record_of,
)

DISCONNECTS = ["ECONNRESET", "EPIPE", "ECONNABORTED", "ENOTCONN", "ESHUTDOWN", "ETIMEDOUT", "EHOSTUNREACH"]
DISCONNECTS += ["ENETUNREACH", "ENETDOWN"]
OURS = [errno.EBADF, errno.ENOTSOCK]


@pytest.fixture
def server_log() -> Iterator[logging.Logger]:
    """gunicorn's error logger at level INFO, put back afterwards as it was."""
    logger = logging.getLogger(SERVER_LOG)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(level)


# ---- what is taken for a client that left


@pytest.mark.parametrize("frames", [IN_SERVER, UNDER_GEVENT, UNDER_HANGUP], ids=["plain", "gevent", "hangup"])
@pytest.mark.parametrize("name", DISCONNECTS)
def test_a_disconnect_inside_the_server_is_a_client_that_left(name: str, frames: tuple[Frame, ...]) -> None:
    """Errno and traceback together, whichever sockets the server writes through."""
    quiet = DisconnectFilter("drop")
    assert not quiet.filter(record_of(raised_through(OSError(getattr(errno, name), "x"), *frames)))
    assert sum(quiet.counts().values()) == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (PeerGone(errno.ECONNRESET, "x"), "reset"),
        (PeerGone(errno.EPIPE, "x"), "pipe"),
        (PeerGone(errno.EIO, "x"), "other"),
        (Broken(errno.ENETDOWN, "x"), "unreachable"),
        (ClosedHere(errno.EPIPE, "x"), "closed_here"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("logger", [SERVER_LOG, "shop.views"])
def test_hangups_own_types_are_matched_wherever_they_passed(
    error: HangupError, cause: str, logger: str
) -> None:
    """Only a guarded client connection raises them, so application frames change nothing."""
    quiet = DisconnectFilter("drop")
    assert not quiet.filter(record_of(raised_through(error, HANDLE, ("shop.views", "stream")), logger=logger))
    assert quiet.counts() == {cause: 1}


def test_a_send_that_timed_out_inside_the_server_is_a_client_that_left() -> None:
    """Nobody but the stalled client is to blame for it."""
    error = raised_through(TimedOut(errno.ETIMEDOUT, "timed out"), *UNDER_HANGUP)
    assert logfilter.departure(record_of(error)) == "timed_out"


@pytest.mark.parametrize(
    "frames",
    [
        (HANDLE, HANDLE_REQUEST, ("shop.views", "view"), RESPONSE_WRITE, WRITE),
        (HANDLE, HANDLE_REQUEST),
        (HANDLE, HANDLE_REQUEST, ("socket", "readinto")),
        (HANDLE, HANDLE_REQUEST, RESPONSE_WRITE, FILE_WRAPPER, ("socket", "readinto")),
        (("gunicorn.arbiter", "spawn_worker"), ("gunicorn.workers.gthread", "accept")),
        (HANDLE, ("gunicorn.dirty.client", "execute")),
        (("threading", "run"), ("socket", "sendfile")),
        (("hangup._demo.apps.app_hello", "application"), WRITE),
    ],
    ids=[
        "app",
        "app in C",
        "app's socket",
        "app's file",
        "worker dies",
        "dirty arbiter",
        "no server",
        "demo app",
    ],
)
def test_a_disconnect_that_is_not_surely_a_clients_passes(frames: tuple[Frame, ...]) -> None:
    """Upstream servers, the worker's own pipes and its death have the same errnos."""
    record = record_of(raised_through(ConnectionResetError(errno.ECONNRESET, "x"), *frames))
    assert logfilter.departure(record) is None


@pytest.mark.parametrize("module", APP_MODULES)
def test_a_module_that_is_only_named_like_the_servers_is_not_the_servers(module: str) -> None:
    """One frame of it, anywhere, is enough."""
    frames = [*IN_SERVER[:-1], (module, "send"), IN_SERVER[-1]]
    assert logfilter.departure(record_of(raised_through(BrokenPipeError(errno.EPIPE, "x"), *frames))) is None


def test_a_record_without_an_exception_passes() -> None:
    """The text alone proves nothing, whatever it says."""
    for info in (None, (None, None, None), True, "text", (OSError, OSError(errno.EPIPE, "x"), None)):
        record = logging.LogRecord(SERVER_LOG, logging.ERROR, __file__, 1, "Broken pipe %s", ("x",), None)
        record.exc_info = info  # type: ignore[assignment]
        assert logfilter.departure(record) is None


def test_a_disconnect_on_a_logger_without_a_row_passes() -> None:
    """Which modules are a server is known for the loggers of the table only."""
    error = raised_through(BrokenPipeError(errno.EPIPE, "x"), *IN_SERVER)
    assert logfilter.departure(record_of(error, logger="shop.views")) is None


def test_an_error_about_a_file_passes() -> None:
    """An access log on a dead mount or a named pipe is not a client."""
    error = raised_through(OSError(errno.ETIMEDOUT, "x", "/mnt/log"), *IN_SERVER)
    assert logfilter.departure(record_of(error)) is None


@pytest.mark.parametrize("kind", [BrokenPipeError, PeerGone])
@pytest.mark.parametrize(
    "handled", [ConnectionResetError(errno.ECONNRESET, "db"), ValueError("a defect")], ids=repr
)
def test_a_disconnect_while_an_application_error_is_handled_passes(
    kind: type[OSError], handled: Exception
) -> None:
    """The traceback shows the application's error too, so it has to be seen."""
    error = raised_through(kind(errno.EPIPE, "x"), *IN_SERVER)
    error.__context__ = raised_through(handled, HANDLE, ("shop.models", "load"))
    assert logfilter.departure(record_of(error)) is None
    error.__suppress_context__ = True
    assert logfilter.departure(record_of(error)) == "pipe"


def test_a_defect_of_ours_behind_a_disconnect_passes() -> None:
    """Even hangup's own types do not hide an EBADF that led to them."""
    for behind in (OSError(errno.EBADF, "x"), OwnershipViolation(errno.EBADF, "x")):
        error = raised_through(PeerGone(errno.EPIPE, "x"), *UNDER_HANGUP)
        error.__cause__ = ValueError("between")
        error.__cause__.__context__ = behind
        behind.__context__ = error
        assert logfilter.departure(record_of(error)) is None


@given(
    number=st.sampled_from(sorted(errno.errorcode)),
    level=st.sampled_from(LEVELS),
    action=st.sampled_from(sorted(logfilter.ACTIONS)),
    kind=st.sampled_from([OSError, ConnectionResetError, BrokenPipeError, TimeoutError, socket.gaierror]),
    module=st.sampled_from(APP_MODULES) | st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True),
    above=st.lists(st.sampled_from([*IN_SERVER, *UNDER_GEVENT]), max_size=4),
    below=st.lists(st.sampled_from([*IN_SERVER, ("socket", "readinto"), ("ssl", "read")]), max_size=4),
)
def test_an_applications_own_oserror_always_passes_untouched(
    number: int,
    level: int,
    action: str,
    kind: type[OSError],
    module: str,
    above: list[Frame],
    below: list[Frame],
) -> None:
    """Any errno, any level, any action: one frame of the application and it is the application's."""
    row = logfilter.TABLE[SERVER_LOG]
    if any(module == part or module.startswith(f"{part}.") for part in (*row.server, *row.carriers)):
        module = f"the_{module}"
    quiet = DisconnectFilter(action)
    record = record_of(raised_through(kind(number, "x"), *above, (module, "view"), *below), level)
    before = dict(vars(record))
    assert quiet.filter(record)
    assert vars(record) == before
    assert quiet.counts() == {}


@given(
    number=st.sampled_from(OURS),
    level=st.sampled_from(LEVELS),
    action=st.sampled_from(sorted(logfilter.ACTIONS)),
    kind=st.sampled_from([OSError, BrokenPipeError, OwnershipViolation, CannotGuard, PeerGone]),
    frames=st.sampled_from([IN_SERVER, UNDER_GEVENT, UNDER_HANGUP, (HANDLE, ("app", "view"))]),
)
def test_a_bad_descriptor_is_never_a_client_that_left(
    number: int, level: int, action: str, kind: type[OSError], frames: tuple[Frame, ...]
) -> None:
    """EBADF and ENOTSOCK are defects on our side, in whatever class they come."""
    quiet = DisconnectFilter(action)
    record = record_of(raised_through(kind(number, "x"), *frames), level)
    assert quiet.filter(record)
    assert (record.levelno, quiet.counts()) == (level, {})


@pytest.mark.parametrize("kind", [OwnershipViolation, CannotGuard, Busy])
def test_the_other_hangup_errors_pass_whatever_their_errno(kind: type[HangupError]) -> None:
    """They are about us, also when the errno alone would say otherwise."""
    assert logfilter.departure(record_of(raised_through(kind(errno.ENOTCONN, "x"), *UNDER_HANGUP))) is None


# ---- what is done with a match


def gone() -> logging.LogRecord:
    return record_of(raised_through(PeerGone(errno.ECONNRESET, "x"), *UNDER_HANGUP))


def test_demote_makes_it_debug_and_stops_it_unless_debug_is_on(server_log: logging.Logger) -> None:
    """The level is the logger's to decide."""
    quiet, record = DisconnectFilter(), gone()
    assert not quiet.filter(record)
    assert (record.levelno, record.levelname) == (logging.DEBUG, "DEBUG")
    server_log.setLevel(logging.DEBUG)
    assert quiet.filter(gone())
    assert quiet.counts() == {"reset": 2}


def test_demote_never_raises_a_level(server_log: logging.Logger) -> None:
    """What is logged below DEBUG stays there."""
    server_log.setLevel(1)
    quiet, record = DisconnectFilter(), gone()
    record.levelno = 5
    assert quiet.filter(record)
    assert record.levelno == 5


def test_drop_stops_it_even_with_debug_on(server_log: logging.Logger) -> None:
    """Nothing reaches a handler."""
    server_log.setLevel(logging.DEBUG)
    assert not DisconnectFilter("drop").filter(gone())


def test_count_leaves_it_as_it_is() -> None:
    """For finding out how much there is before turning anything down."""
    quiet, record = DisconnectFilter("count"), gone()
    assert quiet.filter(record)
    assert (record.levelno, record.levelname) == (logging.ERROR, "ERROR")
    assert quiet.counts() == {"reset": 1}


@pytest.mark.parametrize("action", ["demoted", "", "DROP", None])
def test_an_unknown_action_is_refused_by_name(action: str) -> None:
    """The message lists what there is."""
    before = list(logging.getLogger(SERVER_LOG).filters)
    with pytest.raises(ValueError, match=r"'demote', 'drop', 'count'"):
        DisconnectFilter(action)
    with pytest.raises(ValueError, match=re.escape(repr(action))):
        logfilter.install(action)
    assert logging.getLogger(SERVER_LOG).filters == before


def test_statistics_add_up_over_all_filters() -> None:
    """One total per action, for the whole process."""
    before = logfilter.statistics()
    for action, times in (("demote", 1), ("drop", 2), ("count", 3), ("drop", 4)):
        quiet = DisconnectFilter(action)
        for _ in range(times):
            quiet.filter(gone())
    after = logfilter.statistics()
    assert {key: after[key] - before[key] for key in after} == {
        "log_demoted": 1,
        "log_dropped": 6,
        "log_counted": 3,
    }


def test_counting_loses_nothing_between_threads() -> None:
    """Four threads, no update lost."""
    from concurrent.futures import ThreadPoolExecutor

    quiet = DisconnectFilter("count")
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: [quiet.filter(gone()) for _ in range(250)], range(4)):
            pass
    assert quiet.counts() == {"reset": 1000}


def test_a_forked_child_counts_from_zero_and_is_not_stuck() -> None:
    """Also when another thread was counting at the moment of the fork."""
    code = """
        import errno, logging, os, threading
        from hangup import DisconnectFilter, logfilter
        from hangup._logs import filter as books
        from hangup.exceptions import PeerGone
        error = PeerGone(errno.EPIPE, "x")
        def record():
            return logging.LogRecord("gunicorn.error", 40, "f", 1, "m", (), (PeerGone, error, None))
        quiet = DisconnectFilter("count")
        quiet.filter(record())
        held, done = threading.Event(), threading.Event()
        def hold():
            with books._lock:
                held.set()
                done.wait()
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        child = os.fork()
        if not child:
            quiet.filter(record())
            os._exit(0 if quiet.counts() == {"pipe": 1} and logfilter.statistics()["log_counted"] == 1 else 1)
        status = os.waitpid(child, 0)[1]
        done.set()
        holder.join()
        assert os.WEXITSTATUS(status) == 0 and quiet.counts() == {"pipe": 1}
    """
    home = os.pathsep.join(
        filter(None, [str(Path(hangup.__file__).parents[1]), os.environ.get("PYTHONPATH")])
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": home},
        timeout=30,
        check=False,
    )
    assert run.returncode == 0


# ---- text from clients


@given(st.text(st.characters() | st.sampled_from("\\nrtxu0\r\n")))
def test_escaped_text_is_one_printable_line_and_can_be_read_back(text: str) -> None:
    """No client writes a second log line, and no two texts look alike."""
    line = logfilter.escape(text)
    assert line.isprintable()
    assert line.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


def test_bytes_and_other_things_are_escaped_too() -> None:
    """A header may arrive as bytes; a peer name may be a tuple."""
    assert logfilter.escape(b"GET /\r\n\xff\x00") == "GET /\\r\\n\xff\\x00"
    assert logfilter.escape(("::1", 80)) == "('::1', 80)"
    assert logfilter.escape("Grüße") == "Grüße"
