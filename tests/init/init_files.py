"""What the tests of ``hangup init`` share: folders with an application in them, and the command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from hangup._cli.group import command

FLASK = """
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")

@socketio.on("say")
def say(text):
    return text

@app.get("/")
def hello():
    return "hello"
"""


def flask_project(folder: Path, text: str = FLASK) -> Path:
    """A folder with ``app.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(text)
    return folder


class Said(NamedTuple):
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


def hangup(folder: Path, *arguments: str) -> Said:
    """``hangup ...`` in a folder; in this process, which is a second faster than a shell."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(command, arguments)
    finally:
        os.chdir(before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def program(name: str) -> str:
    """Its path; a test that needs it is skipped where it is not."""
    path = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def verified(*units: Path) -> str:
    """What ``systemd-analyze verify`` has against units; their programs have to exist."""
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", *map(str, units)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stderr


def nginx_test(site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """``nginx -t`` of a site, in a configuration of its own."""
    whole = folder / "whole.conf"
    whole.write_text(
        f"pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f'include "{site}"; }}\n'
    )
    command = [program("nginx"), "-t", "-p", str(folder), "-e", f"{folder}/e.log", "-c", str(whole)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
