"""The upgrade of a polling Engine.IO session, as clients should not do it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from test_websocket import CLIENTS, IDS, STACKS, serve

websocket = pytest.importorskip("websocket")


def polling_session(server: Gunicorn) -> str:
    """The name of one that has just been opened."""
    url = f"http://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=polling"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(json.loads(answer.read()[1:])["sid"])


def upgrading(server: Gunicorn, sid: str) -> Any:
    """A WebSocket for the session."""
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket&sid={sid}"
    client = websocket.create_connection(url, timeout=10)
    CLIENTS.append(client)
    return client


def refused(client: Any) -> bool:
    """Whether it is closed behind its handshake."""
    opcode, payload = client.recv_data()
    return bool(opcode == websocket.ABNF.OPCODE_CLOSE and payload[:2] == (1002).to_bytes(2, "big"))


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[1], STACKS[4]], ids=[IDS[0], IDS[1], IDS[4]])
def test_a_session_has_one_websocket(tmp_path: Path, stack: tuple[str, str, str, str, bool]) -> None:
    """A second one is closed, during the upgrade and after it, and takes nothing from the first."""
    with serve(tmp_path, stack, "--access-logfile", "-") as server:
        sid = polling_session(server)
        first = upgrading(server, sid)
        first.send("2probe")
        assert first.recv() == "3probe"
        assert refused(upgrading(server, sid))
        first.send("5")
        first.send("40")
        assert first.recv().startswith("40{")
        assert refused(upgrading(server, sid))
        first.send('42["echo","still here"]')
        assert first.recv() == '42["echo","still here"]'
        assert server.wait_until(lambda: server.log.count("code=1002 cause=violation") == 2, 10), server.log
        assert "Traceback" not in server.log
