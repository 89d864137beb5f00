"""``hangup.channels.GroupFanout`` in one process and in two, over each channel layer, with a real Redis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_asgi import Server, frame, open_websocket, serve, until
from hangup._demo.server import wait_until
from hangup.testing import reset
from test_message_queue import Redis

LAYERS = ("core", "pubsub")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.kill()


def hears(client: Any, wanted: str) -> bytes:
    return until(client, wanted.encode())


def is_empty(server: Server, before: dict[str, Any]) -> bool:
    """Whether its clients, groups and tasks are gone, the relay's among them."""
    said = server.ask()
    return said["members"] == 0 and said["tasks"] <= before["tasks"]


@pytest.mark.parametrize("kind", ["native", "uvicorn", "daphne"])
def test_everybody_hears_once_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    """Members of synchronous and asynchronous consumers, native or not, text and binary."""
    with serve(tmp_path, kind) as server:
        before = server.ask()
        with contextlib.ExitStack() as kept:
            paths = ["/fan"] * 8 + ["/sync-fan"] * 2
            clients = [kept.enter_context(open_websocket(server, path)) for path in paths]
            for client in clients:
                hears(client, "welcome")
            assert server.ask()["members"] == (1 if kind == "native" else len(clients))  # one for the process
            reset(clients.pop())
            for number, client in enumerate((clients[0], clients[-1])):
                client.sendall(frame(b'"message %d"' % number))
                for other in clients:
                    assert hears(other, f"message {number}").count(b"message") == 1
            clients[0].sendall(frame(b'"stray"'))  # a message of Channels' own to the same group
            clients[0].sendall(frame(b'"bytes"'))
            for other in clients:
                assert b"\x82\x05bytes" in hears(other, "bytes")
        assert wait_until(lambda: is_empty(server, before), 10), server.ask()
        assert "Traceback" not in server.log, server.log[-3000:]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_clients_of_other_processes_hear_it(tmp_path: Path, redis: Redis, layer: str) -> None:
    """Of one that is native and one that is not."""
    pytest.importorskip("channels_redis")
    with contextlib.ExitStack() as kept:
        servers = []
        for kind in ("native", "native", "uvicorn"):
            directory = tmp_path / str(len(servers))
            directory.mkdir()
            servers.append(kept.enter_context(serve(directory, kind, LAYER=layer, REDIS=redis.url)))
        clients = [kept.enter_context(open_websocket(server, "/fan")) for server in servers for _ in range(3)]
        for client in clients:
            hears(client, "welcome")
        for number, client in enumerate(clients[::3]):
            client.sendall(frame(b'"message %d"' % number))
            for other in clients:
                assert hears(other, f"message {number}").count(b"message") == 1
        for server in servers:
            assert "Traceback" not in server.log, server.log[-3000:]


def test_groups_outlive_the_memory_of_their_layer(tmp_path: Path) -> None:
    """Layers forget a membership after ``group_expiry`` seconds; the clients do not renew it, as nobody is added."""
    expiry = 1
    with (
        serve(tmp_path, "native", GROUP_EXPIRY=str(expiry)) as server,
        open_websocket(server, "/fan") as client,
    ):
        hears(client, "welcome")
        time.sleep(3 * expiry)  # it is time that is tested: the layer reckons in whole seconds
        client.sendall(frame(b'"still there"'))
        hears(client, "still there")
