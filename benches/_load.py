"""Load on one address: HTTP by wrk if it is installed, else by a client of our own (:mod:`benches.client`); WebSockets
by ``crates/hangup-load``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import Any

from ._machine import pinned
from ._process import ROOT, Unavailable

_TOTAL = re.compile(r"(\d+) requests in ([0-9.]+)(us|ms|s|m)")
_GRACE_SECONDS = 30
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class LoadFailed(Exception):
    """The server did not answer as it should; the message is the client's output."""


def client_name() -> str:
    """What makes the load."""
    return "wrk" if shutil.which("wrk") else "own client (wrk is not installed: apt-get install wrk)"


def load(port: int, core: int, connections: int, seconds: int) -> tuple[float, float]:
    """Requests over kept-alive connections, each sent when the answer to the one before has arrived.

    Args:
        port: on 127.0.0.1.
        core: for the client.
        connections: at the same time.
        seconds: whole ones.

    Returns:
        Answers, and the seconds they took.

    Raises:
        LoadFailed: a connection broke, or an answer was not a 200.
    """
    if shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
        output = _run(core, command, seconds)
        total = _TOTAL.search(output)
        if total is None or "Non-2xx" in output or "Socket errors" in output:
            raise LoadFailed(output)
        return int(total.group(1)), float(total.group(2)) * _SECONDS[total.group(3)]
    own = [sys.executable, "-m", "benches.client", str(port), str(connections), str(seconds)]
    answers, took = json.loads(_run(core, own, seconds))
    return answers, took


def hangup_load_program() -> str:
    """The path of the client for WebSockets.

    Raises:
        Unavailable: it was not built.
    """
    program = ROOT / "target" / "release" / "hangup-load"
    if not program.exists():
        raise Unavailable("cargo build --release -p hangup-load")
    return str(program)


def hangup_load(core: int, limit: float, *arguments: str, gives_way: bool = False) -> dict[str, Any]:
    """What the client for WebSockets reports, with ``"failures"`` by their names.

    Args:
        core: for the client.
        limit: seconds within which it has to end.
        arguments: of its command line.
        gives_way: to everybody else on that core.

    Raises:
        LoadFailed: it did not come to a report.
    """
    command = pinned(core, [hangup_load_program(), *arguments], gives_way)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"hangup-load did not end within {limit:.0f} s") from None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise LoadFailed(done.stdout + done.stderr) from None
    return report


def _run(core: int, command: list[str], seconds: int) -> str:
    limit = seconds + _GRACE_SECONDS
    try:
        done = subprocess.run(pinned(core, command), cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{command[0]} did not end within {limit} s") from None
    if done.returncode:
        raise LoadFailed(done.stdout + done.stderr)
    return done.stdout
