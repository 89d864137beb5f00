"""DisconnectFilter on gunicorn's logger, and on a real gunicorn with stock sockets."""

from __future__ import annotations

import errno
import logging
import logging.config
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gunicorn_process import CONF, gunicorn
from hangup import DisconnectFilter, logfilter
from hangup.exceptions import PeerGone
from hangup.testing import StalledReader, connect, reset

SERVER_LOG = "gunicorn.error"


@pytest.fixture
def server_log() -> Iterator[logging.Logger]:
    """gunicorn's error logger; it and the root logger are put back afterwards as they were."""
    loggers = [logging.getLogger(SERVER_LOG), logging.getLogger()]
    before = [(list(each.filters), list(each.handlers), each.propagate, each.level) for each in loggers]
    logfilter.uninstall()
    loggers[0].filters = []
    loggers[0].setLevel(logging.INFO)
    yield loggers[0]
    logfilter.uninstall()
    for each, (filters, handlers, propagate, level) in zip(loggers, before):
        each.filters, each.handlers, each.propagate = filters, handlers, propagate
        each.setLevel(level)


# ---- attached to loggers


def test_install_attaches_one_filter_however_often(server_log: logging.Logger) -> None:
    """A second call only changes the action."""
    first = logfilter.install()
    assert logfilter.install("drop") is first
    assert server_log.filters.count(first) == 1
    assert first.action == "drop"
    logfilter.uninstall()
    assert first not in server_log.filters
    logfilter.uninstall()


@pytest.mark.parametrize("reload_with", [{}, {"loglevel": "debug"}, {"logconfig_dict": True}], ids=str)
def test_gunicorns_logger_keeps_the_filter_when_it_is_set_up_again(
    server_log: logging.Logger, reload_with: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    """gunicorn sets its loggers up at start and on SIGHUP; both replace handlers, not filters."""
    config = pytest.importorskip("gunicorn.config")
    glogging = pytest.importorskip("gunicorn.glogging")
    installed = logfilter.install()
    cfg = config.Config()
    log = glogging.Logger(cfg)
    for key, value in reload_with.items():
        handlers = {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}}
        loggers = {SERVER_LOG: {"handlers": ["console"], "level": "INFO", "propagate": False}}
        conf = {"version": 1, "disable_existing_loggers": False, "handlers": handlers, "loggers": loggers}
        cfg.set(key, conf if value is True else value)
    log.setup(cfg)
    assert log.error_log is server_log
    assert server_log.filters == [installed]
    for error in (PeerGone(errno.EPIPE, "the client"), OSError(errno.EBADF, "our own")):
        try:
            raise error
        except OSError:
            log.exception("Socket error processing request.")
    assert installed.counts() == {"pipe": 1}
    lines = capfd.readouterr().err
    assert "our own" in lines
    assert ("the client" in lines) == ("debug" in reload_with.values())


@pytest.mark.usefixtures("server_log")
def test_it_can_be_named_in_a_logging_configuration() -> None:
    """It is an ordinary logging.Filter."""
    configured = {"()": "hangup.DisconnectFilter", "action": "drop"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"quiet": configured},
            "loggers": {SERVER_LOG: {"filters": ["quiet"]}},
        }
    )
    (quiet,) = logging.getLogger(SERVER_LOG).filters
    assert isinstance(quiet, DisconnectFilter)
    assert quiet.action == "drop"


# ---- a real server process


@pytest.mark.parametrize(("conf", "level"), [("", "ERROR"), (CONF, "DEBUG")], ids=["stock", "filtered"])
def test_under_gunicorn_a_client_that_stalled_to_death_is_an_error_only_without_the_filter(
    tmp_path: Path, conf: str, level: str
) -> None:
    """The kernel gives the connection up with ETIMEDOUT, which gunicorn takes for a server error."""
    with gunicorn(tmp_path, conf) as server:
        with StalledReader(server.address) as client:
            client.sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for(r"TimeoutError: \[Errno 110\]")
        assert re.search(rf"\[{level}\] Socket error processing request\.", server.log())
        assert bool(server.errors()) == (level == "ERROR")


def test_under_gunicorn_with_the_filter_only_the_application_is_heard(tmp_path: Path) -> None:
    """Clients reset in the middle of a response; so does the application's database."""
    with gunicorn(tmp_path, CONF) as server:
        for _ in range(5):
            client = connect(server.address)
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096)
            reset(client)
        server.wait_for(r"(?s)(Ignoring connection (reset|epipe).*){5}")
        assert server.get("/ok").endswith(b"fine")
        assert server.errors() == []

        for path in ("/driver", "/logged", "/timed_out"):
            assert b"first row" in server.get(path)
        server.wait_for("the database does not answer")
        assert [line.partition("] ")[2] for line in server.errors()] == [
            "Socket error processing request.",
            "the database went away",
            "Socket error processing request.",
        ]
        for line in (
            "ConnectionResetError: lost connection to the database",
            "ConnectionResetError: [Errno 104]",
        ):
            assert line in server.log()
