"""JavaScript's Socket.IO client, in Node: what the pages of a deployment use."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from .clients import Address, Refused
from .environment import ROOT

_HERE = ROOT / "tests" / "e2e" / "js"
_SECONDS = 40


def missing() -> str:
    """Why there is none, for a note; empty if there is."""
    if shutil.which("node") is None:
        return "node is not installed: JavaScript's client did not take part"
    if not (_HERE / "node_modules" / "socket.io-client").is_dir():
        return "npm's socket.io-client is not installed: JavaScript's client did not take part"
    return ""


def ask(address: Address, event: str, data: object, awaited: str, **options: Any) -> dict[str, Any]:
    """Connects, emits ``event``, waits for its acknowledgement and for an event ``awaited``, and leaves.

    Args:
        options: of the client, such as ``auth`` and ``transports``.

    Returns:
        The two, as "answer" and "told".

    Raises:
        Refused: it failed; the message is what Node says.
    """
    url = f"http://{address[0]}:{address[1]}"
    words = ["socket.io-client", url, json.dumps(options), event, json.dumps(data), awaited]
    try:
        done = subprocess.run(
            ["node", "ask.js", *words], cwd=_HERE, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        raise Refused(f"node: nothing after {_SECONDS} s") from late
    if done.returncode:
        raise Refused(f"node: {done.stderr[-300:]}")
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered
