"""``hangup.flask`` on a real gunicorn: clients that leave, and those that stay."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

import leaving
import pytest
import servers
from hangup._demo.server import wait_until
from hangup.testing import connect, reset
from test_django import OCTETS, Site, in_a_stream, in_an_upload

pytest.importorskip("flask")
HERE = Path(__file__).parent


def statuses(running: Site, path: str, start: int) -> list[str]:
    return re.findall(rf"ACCESS (\d+) {path}\n", running.log.read_text()[start:])


@pytest.mark.parametrize(
    "stack", ["gunicorn-27.0.1-gthread", pytest.param("gunicorn-27.0.1-gevent", marks=pytest.mark.slow)]
)
def test_clients_that_leave_are_answered_499_and_counted(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an error of anything else is a 500, also if it is of hangup's own type."""
    if lacks := servers.missing(stack):
        pytest.skip(f"{lacks} is not installed")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--access-logfile - --access-logformat 'ACCESS %(s)s %(U)s'")
    with servers.serving(stack, "flask_site", tmp_path / "log", guarded=True) as port:
        running = Site(stack, port, tmp_path / "log")
        with connect(("127.0.0.1", port)) as client:
            client.sendall(b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_for("/plain began")
            left = time.monotonic()
            reset(client)
            assert running.wait_for("/plain gone") - left < 0.1
        in_a_stream("/stream")(running)
        running.wait_for("/stream closed")
        for abruptly in (True, False):
            in_an_upload("/upload", OCTETS, abruptly=abruptly)(running)
        wait_until(lambda: len(statuses(running, "/upload", 0)) == 2, 5.0)
        assert statuses(running, "/plain", 0) == ["499"]
        assert statuses(running, "/upload", 0) == ["499", "499"]
        assert running.abandoned() == 4
        for path in ("/database", "/upstream"):
            assert leaving.get(port, path).startswith(b"HTTP/1.1 500 ")
        assert leaving.get(port, "/source").endswith((HERE / "flask_site.py").read_bytes())
        assert running.abandoned() == 4


def test_a_server_that_tells_nothing_of_its_clients_is_as_without_us() -> None:
    """An upload that ends early stays werkzeug's 400 where nobody can say whether the client left."""
    import hangup.flask
    from flask import Flask, request

    def posted(application: Flask) -> str:
        @application.post("/")
        def upload() -> str:
            return str(len(request.get_data()))

        environ = {"wsgi.input": io.BytesIO(b"abc"), "CONTENT_LENGTH": "100"}
        return application.test_client().post("/", environ_overrides=environ).status

    guarded = Flask("guarded")
    hangup.flask.Hangup(guarded)
    assert posted(guarded) == posted(Flask("stock")) == "400 BAD REQUEST"


def test_the_commands(tmp_path: Path) -> None:
    """``flask hangup doctor``."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(HERE / "flask_site.py"), "hangup", "doctor"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert re.search(r"^hangup \S+, HANGUP=\w+$", done.stdout, re.MULTILINE)
