"""A gunicorn with stock sockets, an application that fails in many ways, and the log."""

from __future__ import annotations

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
from hangup.testing import connect

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
