"""DisconnectFilter on gunicorn's logger, and on a real gunicorn with stock sockets."""

from __future__ import annotations

import errno
import logging
import logging.config
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hangup
import pytest
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

APP = """
    import errno, logging, os, socket

    def database():
        ours, theirs = socket.socketpair()
        try:
            ours.sendall(b"SELECT 1")
            theirs.close()              # with the question unread: a reset
            return ours.recv(1)
        finally:
            ours.close()

    def driver():
        try:
            return database()
        except ConnectionResetError as error:
            raise ConnectionResetError("lost connection to the database") from error

    def logged():
        try:
            database()
        except ConnectionResetError:
            logging.getLogger("gunicorn.error").exception("the database went away")

    def timed_out():
        raise TimeoutError(errno.ETIMEDOUT, "the database does not answer")

    def endless():
        while True:
            yield bytes(1 << 16)

    def rows(query):
        yield b"first row"
        query()
        yield b"last row"

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        path = environ["PATH_INFO"]
        if path == "/endless":
            option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 200)
            environ["gunicorn.socket"].setsockopt(*option)
            return endless()
        if path == "/ok":
            return [b"fine"]
        return rows({"/driver": driver, "/logged": logged, "/timed_out": timed_out}[path])
"""
CONF = """
    from hangup import logfilter
    logfilter.install("demote")
"""


def environment() -> dict[str, str]:
    home = str(Path(hangup.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}


class Gunicorn:
    """A real server process, its address, and the log it wrote so far."""

    def __init__(self, folder: Path, conf: str) -> None:
        (folder / "app.py").write_text(textwrap.dedent(APP))
        # its default path is shared by every gunicorn of the user; before 25.1 the name means nothing
        (folder / "conf.py").write_text("control_socket_disable = True\n" + textwrap.dedent(conf))
        self._log = folder / "log"
        options = ["-k", "gthread", "--threads", "4", "-b", "127.0.0.1:0", "--log-level", "debug"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "conf.py", *options, "app:application"],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=log,
            )
        self.port = int(self.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)").group(1))
        self.address = ("127.0.0.1", self.port)

    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, pattern: str, deadline: float = 20.0) -> re.Match[str]:
        end = time.monotonic() + deadline
        while (found := re.search(pattern, self.log())) is None:
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.log()}"
            time.sleep(0.02)
        return found

    def errors(self) -> list[str]:
        return re.findall(r"\[(?:ERROR|CRITICAL|WARNING)\] .*", self.log())

    def get(self, path: str) -> bytes:
        with connect(self.address) as sock:
            sock.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


@contextmanager
def gunicorn(folder: Path, conf: str) -> Iterator[Gunicorn]:
    pytest.importorskip("gunicorn")
    server = Gunicorn(folder, conf)
    try:
        yield server
    finally:
        server.stop()


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
