"""Broadcasts to many clients, whose numbers the load client of the benchmarks checks; and that it does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 20

APP = """
import json, os
import socketio
server = socketio.Server(async_mode="threading", async_handlers=False)  # one after the other
kept = []

@server.event
def echo(sid, data):
    server.emit("echo", data, to=sid)

@server.event
def broadcast(sid, data):
    number, faulty = data["n"], "FAULTY" in os.environ
    if faulty and number == 20:
        kept.append(data)
    elif not faulty or number != 30:
        server.emit("news", data)
    if faulty and number == 10:
        server.emit("news", data)
    while number == 21 and kept:
        server.emit("news", kept.pop())

def ready(environ, start_response):
    body = json.dumps({"pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, ready)
"""


@pytest.fixture(scope="module")
def program() -> str:
    """The load client, of this source."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    build = ["cargo", "build", "--quiet", "-p", "hangup-load"]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"hangup-load cannot be built: {built.stderr}")
    return str(ROOT / "target" / "debug" / "hangup-load")


def fanout(program: str, server: Gunicorn, *args: str) -> Any:
    """What the load client reports."""
    pid = server.ask()["pid"]
    command = [
        program,
        "fanout",
        f"127.0.0.1:{server.port}",
        "--clients",
        str(CLIENTS),
        "--watch",
        str(pid),
        *args,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == bool(report["failures"])
    return report


@pytest.mark.timeout(300)  # the first one builds
@pytest.mark.parametrize("stalled", [0, 2])
def test_every_client_gets_every_broadcast_once_and_in_order(
    program: str, tmp_path: Path, stalled: int
) -> None:
    """Eight under way at a time, also while others do not read."""
    with gunicorn(
        tmp_path, "-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4", app=APP
    ) as server:
        report = fanout(program, server, "--broadcasts", "50", "--stalled", str(stalled))
    assert report["failures"] == {}
    assert (report["broadcasts"], report["deliveries"]) == (50, 50 * (CLIENTS + 1))
    assert report["server"]["resident_at_most"] >= report["server"]["resident_before"] > 0


def test_the_load_client_notices_disorder(program: str, tmp_path: Path) -> None:
    """A server that sends one broadcast twice, one behind its successor, and one never."""
    args = ["-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4"]
    with gunicorn(tmp_path, *args, app=APP, FAULTY="yes") as server:
        report = fanout(program, server, "--broadcasts", "50", "--patience", "2")
    recipients = CLIENTS + 1
    assert report["failures"] == {"duplicated": recipients, "reordered": recipients, "missing": recipients}
