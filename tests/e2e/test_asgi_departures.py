"""Clients of Channels that leave while they are being sent to, on every ASGI server: each ``disconnect()`` runs."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from e2e_asgi import SERVERS, WAYS, Server, frame, open_websocket, serve, until
from hangup._demo.server import wait_until

OPTIONS = json.dumps({"heartbeat": 1, "heartbeat_timeout": 1, "send_timeout": 1})
#: Those whose ``send`` raises, into the consumer.
RAISING = ("uvicorn", "native", "gunicorn")
LEAVING = [way for way in WAYS if way != "stall"]  # what a server may notice by itself


def lose(server: Server, ways: Iterable[str], path: str, kept: contextlib.ExitStack) -> None:
    """One client each, which leaves as soon as the first message of many is there."""
    for way in ways:
        client: socket.socket = kept.enter_context(open_websocket(server, path, rcvbuf=4096))
        client.sendall(frame(b'"flood"'))
        until(client, b"pad")
        WAYS[way](client)


def lost(server: Server, count: int, within: float = 20) -> dict[str, Any]:
    """What the service says of itself, as soon as it has missed so many, and their groups have."""
    said: dict[str, Any] = {}

    def has_missed() -> bool:
        said.update(server.ask())
        return said["disconnected"] >= count and not said["members"]

    assert wait_until(has_missed, within), (said, server.log[-3000:])
    return said


def check(said: dict[str, Any], count: int, server: Server) -> None:
    assert (said["connected"], said["disconnected"], said["twice"]) == (count, count, 0)
    assert said["members"] == 0
    assert "Traceback" not in server.log, server.log[-3000:]
    assert not re.search(r"never retrieved|was destroyed", server.log)


@pytest.mark.parametrize("kind", RAISING)
def test_stock_loses_disconnects(tmp_path: Path, kind: str) -> None:
    """The reason for all this: the consumers end, and nobody is told."""
    with serve(tmp_path, kind, HOW="stock") as server, contextlib.ExitStack() as kept:
        before = server.ask()["tasks"]
        lose(server, LEAVING * 4, "/async", kept)
        assert wait_until(lambda: server.ask()["tasks"] <= before, 20)
        said = server.ask()
        assert said["connected"] == 12
        assert said["disconnected"] < 12
        assert said["members"] > 0


@pytest.mark.parametrize("kind", SERVERS)
def test_every_disconnect_runs(tmp_path: Path, kind: str) -> None:
    """Of a quarter only the heartbeat tells."""
    count = 100 if kind in ("uvicorn", "native") else 24
    with serve(tmp_path, kind, HOW="hangup", OPTIONS=OPTIONS) as server, contextlib.ExitStack() as kept:
        lose(server, [*WAYS] * (count // 4), "/async", kept)
        said = lost(server, count)
        check(said, count, server)
        if kind != "hypercorn":  # which knows no codes
            assert said["codes"].count(4001) == count // 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_every_disconnect_of_a_thousand_runs(tmp_path: Path, kind: str) -> None:
    """A thousand, and descriptors and tasks come back."""
    with serve(tmp_path, kind, HOW="both", OPTIONS=OPTIONS) as server:
        before = server.ask()
        with contextlib.ExitStack() as kept:
            lose(server, [*WAYS] * 250, "/async", kept)
            check(lost(server, 1000, within=60), 1000, server)
        engine = 8  # descriptors of the native engine, which starts with the first client
        assert wait_until(lambda: server.ask()["fds"] <= before["fds"] + engine, 20)
        assert wait_until(lambda: server.ask()["tasks"] <= before["tasks"], 20)


def test_granian_closes_descriptors_of_clients_that_were_given_up(tmp_path: Path) -> None:
    """It kept one in ten for ever if the application ended while a receive was being cancelled."""
    with serve(tmp_path, "granian", HOW="hangup", OPTIONS='{"idle_timeout": 0.5}') as server:
        before = server.ask()["fds"]
        with contextlib.ExitStack() as kept:
            lose(server, ["stall"] * 60, "/async", kept)
            check(lost(server, 60), 60, server)
        assert wait_until(lambda: server.ask()["fds"] <= before, 8), (before, server.ask()["fds"])


@pytest.mark.parametrize("kind", SERVERS)
def test_the_mixin_alone_is_enough(tmp_path: Path, kind: str) -> None:
    """Also for consumers that send from a thread. What a handler raises is logged, and its groups are left."""
    with serve(tmp_path, kind, HOW="mixin") as server, contextlib.ExitStack() as kept:
        lose(server, LEAVING, "/sync", kept)
        lose(server, LEAVING, "/async", kept)
        check(lost(server, 6), 6, server)
        for path in ("/sync", "/async"):
            kept.enter_context(open_websocket(server, path)).sendall(frame(b'"fail"'))
        said = lost(server, 8)
        assert (said["disconnected"], said["members"], said["codes"][6:]) == (8, 0, [1011] * 2)
        errors = "RuntimeError: a handler's own error"
        assert wait_until(lambda: server.log.count(errors) == 2, 10), server.log[-3000:]


def test_a_handler_that_hangs_is_cancelled_and_its_groups_are_left(tmp_path: Path) -> None:
    """gunicorn cancels what goes on for too long after its client: three seconds, unless it is told."""
    with serve(
        tmp_path, "gunicorn", HOW="mixin", GUNICORN_CMD_ARGS="--asgi-disconnect-grace-period 1"
    ) as server:
        with open_websocket(server) as client:
            client.sendall(frame(b'"hang"'))
            assert wait_until(lambda: server.ask()["received"] == ["hang"], 10)
        check(lost(server, 1), 1, server)
