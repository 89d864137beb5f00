"""``hangup serve``: which server, which command line, what is checked, and what runs then."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import wait_until
from init_files import Said, flask_project, hangup

ROOT = Path(__file__).resolve().parents[2]
DAPHNE = ROOT / ".daphne" / "4"
BOARD = ROOT / "examples" / "django_order_board"
WSGI = """
import hangup, json, os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "parent": os.getppid(), "status": hangup.status()}).encode()]
app = (lambda wrapped: lambda environ, start_response: wrapped(environ, start_response))(app)
"""


GTHREAD = ["-k", "gthread", "--threads", "16"]
PLACE = ["-b", "127.0.0.1:8000"]


def wsgi_project(folder: Path, conf: str = "") -> Path:
    """An application that is found by its Procfile."""
    flask_project(folder, WSGI)
    (folder / "Procfile").write_text("web: gunicorn app:app\n")
    if conf:
        (folder / "gunicorn.conf.py").write_text(conf)
    return folder


def dry(folder: Path, *arguments: str) -> Any:
    """What would be started, and what was checked."""
    said = hangup(folder, "serve", "--dry-run", "--no-check", "-f", "json", *arguments)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def refused(said: Said) -> str:
    """The reason."""
    assert said.returncode == 2, said
    return said.stderr


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A real one, at a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--port", str(port), *arguments],
            cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        assert wait_until(lambda: process.poll() is not None or answers(port), 30), log.read_text()
        assert process.poll() is None, log.read_text()
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(port: int, path: str = "/") -> str:
    """A page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def test_gunicorn_takes_the_commands_place_and_serves_with_hangup(tmp_path: Path) -> None:
    """The pid is the master's, TERM ends it, and the status is gunicorn's."""
    with serving(wsgi_project(tmp_path)) as (process, port):
        told = json.loads(get(port))
        assert told["parent"] == process.pid
        assert told["status"]["integrations"]["gunicorn"]["state"] == "on"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert "Shutting down: Master" in (tmp_path / "log").read_text()


CONF = """
import os
threads = int(open("threads").read())
raw_env = ["SAID=1"]
def on_starting(server):
    server.log.info("their own on_starting")
def on_reload(server):
    server.log.info("their own on_reload, threads %d", server.cfg.threads)
def post_fork(server, worker):
    server.log.info("their own post_fork")
"""


def test_a_configuration_is_kept_and_read_again_at_a_hup(tmp_path: Path) -> None:
    """Its settings, its hooks, and hangup's too."""
    wsgi_project(tmp_path, CONF)
    (tmp_path / "threads").write_text("3")
    log = tmp_path / "log"
    with serving(tmp_path) as (process, port):
        assert json.loads(get(port))["status"]["integrations"]["gunicorn"]["state"] == "on"
        assert "their own on_starting" in log.read_text()
        assert "Using worker: gthread" in log.read_text()
        (tmp_path / "threads").write_text("5")
        process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "their own on_reload, threads 5" in log.read_text(), 20), log.read_text()
        assert wait_until(lambda: log.read_text().count("their own post_fork") == 2, 20)
        assert json.loads(get(port))["status"]["integrations"]["gunicorn"]["state"] == "on"


def test_the_server_is_chosen_by_the_project(tmp_path: Path) -> None:
    """gunicorn for WSGI, uvicorn for Channels; each with hangup in it."""
    words = dry(wsgi_project(tmp_path / "a"))["command"]
    assert words[1:5] == ["-m", "gunicorn", "-c", "python:hangup.gunicorn"]
    assert words[-1] == "app:app"
    words = dry(BOARD)["command"]
    assert words[1:5] == ["-m", "uvicorn", "--ws", "hangup.uvicorn:WebSocketProtocol"]
    assert words[-1] == "project.asgi:application"
    words = dry(BOARD, "--server", "django")["command"]
    assert words[1:] == [str(BOARD / "manage.py"), "runserver", "127.0.0.1:8000", "--noreload"]
    folder = flask_project(
        tmp_path / "b", "import socketio\napp = socketio.ASGIApp(socketio.AsyncServer())\n"
    )
    words = dry(folder, "--socket", f"{tmp_path}/u.sock", "--", "--no-access-log")["command"]
    assert words[2:] == [
        "uvicorn", "--ws", "hangup.uvicorn:WebSocketProtocol", "--uds", f"{tmp_path}/u.sock",
        "--no-access-log", "app:app",
    ]  # fmt: skip
    assert "--noreload" not in dry(BOARD, "--server", "django", "--reload")["command"]


@pytest.mark.parametrize(
    ("conf", "extra", "configuration", "words"),
    [
        ("", (), "", ["-c", "python:hangup.gunicorn", *GTHREAD, *PLACE]),
        ("from hangup.gunicorn import *\nbind = 'unix:x'\n", (), "", ["-c", "gunicorn.conf.py", *GTHREAD]),
        ("import hangup.gunicorn\nhangup.gunicorn.install({})\n", (), "", ["-c", "gunicorn.conf.py", *GTHREAD, *PLACE]),
        ("import hangup.gunicorn\n", (), "gunicorn.conf.py", ["-c", "CHAINED", *GTHREAD, *PLACE]),
        ("worker_class = 'gevent'\n", (), "gunicorn.conf.py", ["-c", "CHAINED", *PLACE]),
        ("", ("-c", "other.py", "-k", "sync"), "other.py", ["-c", "CHAINED", *PLACE, "-k", "sync"]),
        ("", ("-cother.py", "-w4", "-b", ":1"), "other.py", ["-c", "CHAINED", *GTHREAD, "-w4", "-b", ":1"]),
        ("", ("--config=python:c", "--threads=3"), "python:c", ["-c", "CHAINED", *PLACE, "--threads=3"]),
    ],
)  # fmt: skip
def test_a_gunicorn_configuration_is_respected(
    conf: str, extra: tuple[str, ...], configuration: str, words: list[str], tmp_path: Path
) -> None:
    """What it, or the rest of the command line, says, is not said again."""
    wsgi_project(tmp_path, conf)
    (tmp_path / "other.py").write_text("")
    found = dry(tmp_path, "--", *extra)
    named = found["environment"].get("HANGUP_SERVE_CONFIG", "")
    assert named == (
        configuration
        if configuration.startswith("python:") or not configuration
        else str(tmp_path / configuration)
    )
    said = ["CHAINED" if word.endswith("/_serve/chained.py") else word for word in found["command"]]
    assert said[3:-1] == words


def test_the_platforms_port_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On all interfaces, as gunicorn does; unless the command line says otherwise."""
    wsgi_project(tmp_path)
    monkeypatch.setenv("PORT", "10000")
    assert "0.0.0.0:10000" in dry(tmp_path)["command"]
    assert "127.0.0.1:9" in dry(tmp_path, "--port", "9")["command"]
    monkeypatch.setenv("PORT", "ten\x1b[31m")
    said = refused(hangup(tmp_path, "serve", "--dry-run"))
    assert "no port" in said
    assert "\x1b[31m" not in said


def test_what_keeps_it_from_starting_is_said_before(tmp_path: Path) -> None:
    """Each with what to do; the server is not started."""
    folder = wsgi_project(tmp_path / "a")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert (
            "Address already in use" in hangup(folder, "serve", "--port", str(taken.getsockname()[1])).stdout
        )
    (folder / "app.py").write_text("import os\nimport no_such_package\n")
    said = hangup(folder, "serve", "--port", "0")
    assert "pip install the package of no_such_package" in said.stdout
    assert "app.py:2" in said.stdout
    assert "not started" in refused(said)
    (folder / "app.py").write_text("import sys\nprint('{}')\nsys.exit(3)\n")
    assert "SystemExit: 3" in hangup(folder, "serve", "--port", "0").stdout
    (folder / "app.py").write_text("import os\nos._exit(3)\n")
    assert "ended with status 3" in hangup(folder, "serve", "--port", "0").stdout
    (folder / "app.py").write_text("async def app(scope, receive, send): ...\n")
    assert (
        "app:app is ASGI, which gunicorn does not serve: --server uvicorn"
        in hangup(folder, "serve", "--port", "0").stdout
    )
    assert "name it: --app" in refused(hangup(tmp_path, "serve", "-C", str(BOARD / "orders")))
    assert "no Django project" in refused(hangup(folder, "serve", "--server", "django"))
    assert "--server gunicorn" in refused(hangup(folder, "serve", "--server", "uvicorn"))
    (folder / "gunicorn.conf.py").write_text("threads = (\n")
    assert "is not Python" in refused(hangup(folder, "serve"))


@pytest.mark.parametrize("conf", ["worker_class = 'eventlet'\n", ""])
def test_eventlet_is_refused_where_gunicorn_has_none(conf: str, tmp_path: Path) -> None:
    """With the command that helps; the gunicorn of these tests is a new one."""
    if int(version("gunicorn").partition(".")[0]) < 26:
        pytest.skip("this gunicorn has an eventlet worker")
    extra = () if conf else ("--", "-k", "eventlet")
    assert "hangup migrate eventlet" in refused(hangup(wsgi_project(tmp_path, conf), "serve", *extra))


def test_a_server_that_is_missing_or_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    from hangup._serve import choice

    wsgi_project(tmp_path)
    monkeypatch.setattr(choice, "version_of", lambda _package: None)
    assert "pip install gunicorn" in refused(hangup(tmp_path, "serve"))
    monkeypatch.setattr(choice, "version_of", lambda _package: "20.1.0")
    assert "too old" in refused(hangup(tmp_path, "serve"))


def test_an_application_that_leaves_threads_behind_is_checked_all_the_same(tmp_path: Path) -> None:
    """The process that imports it ends."""
    wsgi_project(tmp_path)
    (tmp_path / "app.py").write_text(
        f"import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n{WSGI}"
    )
    said = hangup(tmp_path, "serve", "--dry-run", "--port", "0")
    assert (said.returncode, "app:app can be imported" in said.stdout) == (0, True)


@pytest.mark.parametrize("server", ["uvicorn", pytest.param("daphne", marks=pytest.mark.slow), "django"])
def test_a_django_project_is_served(server: str, tmp_path: Path) -> None:
    """The order board: its page; WebSockets natively, or behind hangup.asgi; pending migrations are said."""
    pytest.importorskip("django")
    pytest.importorskip("channels")
    pytest.importorskip("jwt")
    environment = {}
    if server == "daphne":
        if not DAPHNE.is_dir():
            pytest.skip("daphne is not installed")
        environment["PYTHONPATH"] = str(DAPHNE)
    board = tmp_path / "board"
    shutil.copytree(BOARD, board)
    (board / "orders.db").write_bytes(b"")
    with serving(board, "--server", server, **environment) as (process, port):
        assert "<html" in get(port).lower()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    log = (board / "log").read_text()
    assert "not applied to default: python manage.py migrate" in log
    assert "Traceback" not in log
