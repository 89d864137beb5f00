"""What ``hangup init`` writes, running: nginx in front of gunicorn, and logs that are rotated meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import wait_until
from init_files import flask_project, hangup, program


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def service(folder: Path) -> Iterator[int]:
    """gunicorn as written, with the folders that systemd would make; the pid of its master."""
    for name in ("run", "logs"):
        (folder / name).mkdir()
    environment = {**os.environ, "RUNTIME_DIRECTORY": f"{folder}/run", "LOGS_DIRECTORY": f"{folder}/logs"}
    environment.pop("PORT", None)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"]
    with running(command, folder / "log", cwd=folder, env=environment) as process:
        error = folder / "logs" / "error.log"
        assert wait_until(lambda: error.exists() and "Booting worker" in error.read_text(), 20), (
            folder / "log"
        ).read_text()
        yield process.pid
    assert "Traceback" not in error.read_text()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_socketio_client_talks_through_nginx(transport: str, tmp_path: Path) -> None:
    """To gunicorn with hangup, at a Unix socket; an upgrade, or polls."""
    socketio = pytest.importorskip("socketio")
    pytest.importorskip("flask_socketio")
    pytest.importorskip("websocket")
    nginx, port = program("nginx"), free_port()
    flask_project(tmp_path)
    done = hangup(
        tmp_path,
        "init",
        "gunicorn",
        "nginx",
        "--name",
        "site",
        "--listen",
        str(port),
        "--socket",
        f"{tmp_path}/g.sock",
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site.nginx.conf"
    site.write_text(
        site.read_text()
        .replace(f"listen {port}", f"listen 127.0.0.1:{port}")
        .replace(f"listen [::]:{port};", "")
    )
    temporary = " ".join(
        f"{name}_temp_path {tmp_path}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "" if os.getuid() else "user root;"  # nobody else may look into the folders of a test
    whole = tmp_path / "whole.conf"
    whole.write_text(
        f"{user} pid {tmp_path}/nginx.pid; daemon off; worker_processes 1; events {{}}\n"
        f'http {{ access_log {tmp_path}/access.log; {temporary} include "{site}"; }}\n'
    )
    command = [nginx, "-p", str(tmp_path), "-e", f"{tmp_path}/error.log", "-c", str(whole)]
    with service(tmp_path), running(command, tmp_path / "nginx.log"):
        assert wait_until(lambda: reachable(port), 10), (tmp_path / "nginx.log").read_text()
        client = socketio.Client(reconnection=False)
        client.connect(f"http://127.0.0.1:{port}", transports=[transport], wait_timeout=10)
        assert client.transport() == transport
        assert client.call("say", "hello", timeout=10) == "hello"
        client.disconnect()
    said = (tmp_path / "access.log").read_text()
    assert ("transport=websocket" in said and " 101 " in said) == (transport == "websocket")


def reachable(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_rotated_logs_are_opened_anew_by_the_pid_file(tmp_path: Path) -> None:
    """logrotate renames them, and what is logged next stands in new files."""
    logrotate, runuser = program("logrotate"), program("runuser")
    if os.getuid() != 0:
        pytest.skip("logrotate's su needs root")
    assert runuser
    flask_project(tmp_path)
    arguments = ("--name", "rotated", "--user", "root", "--socket", f"{tmp_path}/g.sock")
    assert hangup(tmp_path, "init", "gunicorn", "logrotate", *arguments).returncode == 0
    path = tmp_path / "rotated.logrotate"
    text = (
        path.read_text()
        .replace("/var/log/rotated", f"{tmp_path}/logs")
        .replace("/run/rotated", f"{tmp_path}/run")
    )
    path.write_text(text)
    path.chmod(0o644)
    with service(tmp_path):
        error = tmp_path / "logs" / "error.log"
        before = error.stat().st_ino
        subprocess.run([logrotate, "-f", "-s", f"{tmp_path}/state", str(path)], check=True, timeout=30)
        assert error.stat().st_ino != before
        assert (tmp_path / "logs" / "error.log.1").stat().st_ino == before
        assert wait_until(
            lambda: (
                "Handling signal: usr1" in (tmp_path / "logs" / "error.log.1").read_text() + error.read_text()
            ),
            10,
        )
    assert "Shutting down" in error.read_text()


def test_the_health_check_of_the_image_follows_the_workers(tmp_path: Path) -> None:
    """Its command fails while nobody serves, and succeeds when a worker does."""
    flask_project(tmp_path)
    assert hangup(tmp_path, "init", "gunicorn", "docker", "--socket", f"{tmp_path}/g.sock").returncode == 0
    steps = (tmp_path / "Dockerfile").read_text()
    port = free_port()
    check = json.loads(
        steps.partition("--retries=3 \\\n    CMD ")[2].partition("\n")[0].replace("9117", str(port))
    )
    environment = {**os.environ, "HANGUP_METRICS": f"127.0.0.1:{port}"}

    def healthy() -> bool:
        return (
            subprocess.run(
                [sys.executable, *check[1:]], capture_output=True, timeout=20, check=False
            ).returncode
            == 0
        )

    assert not healthy()
    command = json.loads(steps.partition("\nCMD ")[2])
    with running([sys.executable, "-m", *command], tmp_path / "log", cwd=tmp_path, env=environment):
        assert wait_until(healthy, 20), (tmp_path / "log").read_text()


def test_gunicorn_tells_systemd_when_it_is_ready(tmp_path: Path) -> None:
    """What Type=notify waits for."""
    flask_project(tmp_path)
    assert hangup(tmp_path, "init", "gunicorn", "--socket", f"{tmp_path}/g.sock").returncode == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        systemd.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": f"{tmp_path}/notify"}
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"]
        with running(command, tmp_path / "log", cwd=tmp_path, env=environment):
            assert b"READY=1" in systemd.recv(1000)
            # a worker that is told to leave while it boots does not hear it
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(f"{tmp_path}/g.sock")
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(1000)
