"""``hangup.channels.HangupConsumerMixin`` with the four kinds of consumers, on real servers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from e2e_asgi import frame, open_websocket, serve, until, vanish
from hangup._demo.server import wait_until
from hangup.testing import reset


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
def test_safe_send_says_whether_the_client_is_there(tmp_path: Path, kind: str) -> None:
    """In consumers that ask before each message: they stop."""
    with serve(tmp_path, kind, HOW="mixin") as server:
        before = server.ask()["tasks"]
        for count, path in enumerate(("/async", "/sync", "/async-text", "/sync-text"), 1):
            client = open_websocket(server, path)
            client.sendall(frame(b'"safely"'))
            until(client, b"are you there?")
            reset(client)
            assert wait_until(lambda count=count: server.ask()["disconnected"] == count, 10), server.log
        said = server.ask()
        assert said["there"] == [False, False]
        assert (said["twice"], said["members"]) == (0, 0)
        assert wait_until(lambda: server.ask()["tasks"] == before, 10)
        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", ["uvicorn", "native"])
@pytest.mark.parametrize("how", ["mixin", "both"])
def test_a_silent_client_of_a_consumer_is_gone(tmp_path: Path, kind: str, how: str) -> None:
    """With and without a Hangup around; what answers does not see the acknowledgement come in."""
    with serve(tmp_path, kind, HOW=how, HEARTBEAT="0.5") as server, contextlib.ExitStack() as kept:
        silent, lively = (kept.enter_context(open_websocket(server)) for _ in range(2))
        vanish(silent)
        for _ in range(3):
            wanted = b"\x89" if kind == "native" else b'{"type": "heartbeat"}'
            until(lively, wanted)
            lively.sendall(frame(b"", 10) if kind == "native" else frame(b'{"type":"heartbeat_ack"}'))
        assert wait_until(lambda: server.ask()["disconnected"] == 1, 10)
        said = server.ask()
        assert (said["members"], said["received"]) == (2, [])
        assert said["codes"] == [1011 if kind == "native" else 1006]
        reset(silent)


def test_off_leaves_consumers_alone(tmp_path: Path) -> None:
    """They lose their disconnect, as they do without."""
    with serve(tmp_path, "uvicorn", HOW="mixin", HANGUP="off") as server:
        before = server.ask()["tasks"]
        with open_websocket(server) as client:
            client.sendall(frame(b'"flood"'))
            until(client, b"pad")
            reset(client)
        assert wait_until(lambda: server.ask()["tasks"] == before, 10)
        said = server.ask()
        assert (said["connected"], said["disconnected"], said["members"]) == (1, 0, 2)
