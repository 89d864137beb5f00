"""A gunicorn for tests that need its command line, its configuration and its signals to themselves."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import MissingGunicorn, gunicorn_home, wait_until

APP = """
import json, os, sys
def app(environ, start_response):
    status = sys.modules["hangup"].status() if "hangup" in sys.modules else None
    sock = environ.get("gunicorn.socket") or environ.get("gunicorn.sock")
    facts = {
        "status": status,
        "socket": type(sock).__module__ + "." + type(sock).__qualname__,
        "pid": os.getpid(),
    }
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Gunicorn:
    """A gunicorn that is ended by its pid."""

    wait_until = staticmethod(wait_until)

    def __init__(
        self,
        directory: Path,
        *args: str,
        app: str = APP,
        version: str = "27.0.1",
        command: str = "-m gunicorn",
        **env: str,
    ) -> None:
        (directory / "app.py").write_text(app)
        try:
            path = os.pathsep.join([str(gunicorn_home(version)), str(directory)])
        except MissingGunicorn as absent:
            pytest.skip(str(absent))
        if version.startswith("27") and sys.version_info < (3, 10):
            pytest.skip("gunicorn 27 needs Python 3.10")
        self.log_file = directory / "log"
        environment = {**os.environ, "PYTHONPATH": path, "HOME": str(directory), **env}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command.split(), "-b", "127.0.0.1:0", *args, "app:app"],
                cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def port(self) -> int:
        """The port it listens at, 0 if it does not yet."""
        port = self.log.partition("Listening at: http://127.0.0.1:")[2].partition(" ")[0]
        return int(port or 0)

    def ask(self, wanted: str = "") -> dict[str, Any]:
        """What the application says of itself, as soon as somebody answers (from another worker than `wanted`)."""
        answer: dict[str, Any] = {}

        def answered() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"gunicorn ended:\n{self.log}")
            if not self.port:
                return False
            connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/", headers={"Connection": "close"})
                answer.update(json.loads(connection.getresponse().read()))
            except OSError:
                return False
            finally:
                connection.close()
            return str(answer["pid"]) != wanted

        assert wait_until(answered, 20), self.log
        return answer

    def end(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextlib.contextmanager
def gunicorn(directory: Path, *args: str, **options: str) -> Iterator[Gunicorn]:
    server = Gunicorn(directory, *args, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()
