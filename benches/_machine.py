"""The cores that are used, and what else is worth knowing of the machine. Linux only."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

_PACKAGES = (
    "hangup",
    "gunicorn",
    "gevent",
    "gevent-websocket",
    "eventlet",
    "Flask-SocketIO",
    "python-socketio",
    "simple-websocket",
    "uvicorn",
    "granian",
)


def cores() -> tuple[int, int]:
    """The core of servers (and of what runs in one process), and the core of load clients.

    Taken from those this process may use; the same one twice if there is only one.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def pinned(core: int, command: list[str], gives_way: bool = False) -> list[str]:
    """``command``, to be run on ``core`` by an interpreter that pins itself and becomes it.

    Args:
        core: the only one it may use.
        command: found on the path.
        gives_way: to everybody who wants that core.
    """
    policy = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); " if gives_way else ""
    pin = "os.sched_setaffinity(0, {int(sys.argv[1])}); "
    become = f"import os, sys; {policy}{pin}os.execvp(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-S", "-c", become, str(core), *command]


def facts() -> dict[str, Any]:
    """Machine, versions, commit and load."""
    return {
        "commit": _output("git", "rev-parse", "HEAD"),
        "changed_files": len((_output("git", "status", "--porcelain") or "").splitlines()),
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cores": sorted(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git, or no repository
        return ""


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, platform.machine())
