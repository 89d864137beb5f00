"""``hangup bench`` and ``hangup storm`` as from a shell, on a server that counts for itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until
from load_app import APP

HANGUP = [
    sys.executable,
    "-c",
    "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())",
]


@contextlib.contextmanager
def serve(directory: Path, *args: str, **options: str) -> Iterator[Gunicorn]:
    """The service of :mod:`load_app` on one native gthread worker."""
    with gunicorn(
        directory,
        "-c",
        "python:hangup.gunicorn",
        "-k",
        "gthread",
        "--threads",
        "8",
        *args,
        app=APP,
        **options,
    ) as server:
        server.ask()
        yield server


def load(*arguments: str, status: int = 0, seconds: float = 60) -> dict[str, Any]:
    """What a command reports; its exit status must be ``status``."""
    done = run(*arguments, "-f", "json", seconds=seconds)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def run(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run([*HANGUP, *arguments], capture_output=True, text=True, timeout=seconds, check=False)


def rested(server: Gunicorn, seconds: float = 20, socketio: bool = False) -> dict[str, Any]:
    """What the service counted, as soon as all clients have gone; those of Socket.IO as well, if they said so."""
    said: dict[str, Any] = {}

    def all_gone() -> bool:
        said.update(server.ask())
        if socketio and said["sio_connects"] != said["sio_closes"]:
            return False
        return bool(said["here"] == 0 and said["connects"] == said["closes"])

    assert wait_until(all_gone, seconds), said
    return said


def since(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    """What was counted between."""
    return {name: after[name] - before[name] for name in after if name != "pid"}
