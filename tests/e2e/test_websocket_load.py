"""Many clients of one worker, in numbers that take a while."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import struct
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn
from hangup._demo.server import wait_until
from hangup.testing import reset
from test_websocket import IDS, STACKS, serve, settled

pytestmark = pytest.mark.slow

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CLIENTS = 10_000


def frame(text: str) -> bytes:
    """A client's, masked with zeros."""
    return struct.pack("!BB4x", 0x81, 0x80 | len(text)) + text.encode()


def until(client: socket.socket, wanted: bytes) -> None:
    """Reads up to what contains ``wanted``."""
    received = b""
    while wanted not in received:
        more = client.recv(4096)
        assert more, received
        received += more


def open_session(server: Gunicorn) -> socket.socket:
    """Sends everything up to the Socket.IO CONNECT at once."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(REQUEST + frame("40"))
    return client


def test_ten_thousand_clients_on_one_worker(tmp_path: Path) -> None:
    """Each is answered; 16 tasks, 40 KB a client, and every descriptor back after they vanish."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CLIENTS + 1000:
        pytest.skip(f"the descriptor limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as kept:
        kept.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        stack = STACKS[0]
        server = kept.enter_context(serve(tmp_path, stack, "--threads", "8"))
        first = open_session(server)
        until(first, b"40{")
        first.close()
        before = settled(server, {"fds": 0}, 2)

        def resident() -> int:
            with open(f"/proc/{before['pid']}/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        memory = resident()
        clients: list[socket.socket] = []
        while len(clients) < CLIENTS:
            batch = [kept.enter_context(open_session(server)) for _ in range(100)]
            for client in batch:
                until(client, b"40{")
            clients += batch
        for client in clients:
            client.sendall(frame('42["echo","hello"]'))
        for client in clients:
            until(client, b'42["echo","hello"]')
        facts = server.ask()
        assert facts["sessions"] == CLIENTS
        assert facts["tasks"] <= 16, facts
        assert (resident() - memory) / CLIENTS < 40_000
        for client in clients:
            reset(client)
        assert wait_until(lambda: server.ask()["fds"] <= before["fds"], 30)
        assert "Traceback" not in server.log


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stack", [STACKS[0], STACKS[4], STACKS[5]], ids=[IDS[0], IDS[4], IDS[5]])
def test_a_storm_of_leaves(tmp_path: Path, stack: tuple[str, str, str, str, bool]) -> None:
    """5,000 clients, up to 200 at a time, in six ways."""
    with serve(tmp_path, stack, INTERVAL="2", TIMEOUT="2") as server:
        first = open_session(server)
        until(first, b"40{")
        first.close()
        before = settled(server, {"fds": 0}, 2)
        chosen = random.Random(1)
        waiting: list[socket.socket] = []
        for _ in range(5_000):
            client = open_session(server)
            until(client, b"40{")
            way = chosen.choice(["reset", "end", "half", "close", "silent", "stalled"])
            if way == "stalled":
                client.sendall(frame('42["flood",500]'))
            elif way == "half":
                client.sendall(b"\x81\xfe\x10")
            elif way == "close":
                client.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
            if way == "reset":
                reset(client)
            elif way in ("silent", "stalled"):
                waiting.append(client)
            else:
                client.close()
            while len(waiting) > 200:
                waiting.pop(0).close()
        last = settled(server, before, 2 + 2 + 2)
        for client in waiting:
            client.close()
        assert (last["connected"], last["disconnected"], last["twice"]) == (5_001, 5_001, 0), last
        assert last["fds"] <= before["fds"], last
        assert "Traceback" not in server.log
