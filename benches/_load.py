"""Load on one address, by wrk if it is installed, else by a client of our own (:mod:`benches.client`)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

from ._machine import pinned
from ._process import ROOT

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


def _run(core: int, command: list[str], seconds: int) -> str:
    limit = seconds + _GRACE_SECONDS
    try:
        done = subprocess.run(pinned(core, command), cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{command[0]} did not end within {limit} s") from None
    if done.returncode:
        raise LoadFailed(done.stdout + done.stderr)
    return done.stdout
