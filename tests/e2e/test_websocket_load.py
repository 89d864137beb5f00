"""Many clients of one worker, in numbers that take a while."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import time
from collections import deque
from pathlib import Path

import pytest
from hangup.testing import reset
from raw_websocket import REQUEST, begin_session, frame, until
from test_websocket import IDS, STACKS, serve, settled

pytestmark = pytest.mark.slow

CLIENTS = 10_000
LEAVES = 20_000
#: Seconds: of the heartbeat, and for which a client that waits for it is kept.
INTERVAL, TIMEOUT = 2, 2
KEPT = INTERVAL + TIMEOUT + 2
#: Ways to leave, and how often each is chosen: a client that stalls costs the server 3 MB of emits.
WAYS = {"reset": 5, "end": 5, "half": 5, "close": 5, "silent": 5, "stalled": 1}


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
        begin_session(server.port).close()  # the first one starts the engine
        before = settled(server, {"fds": 0}, 2)

        def resident() -> int:
            with open(f"/proc/{before['pid']}/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        memory = resident()
        clients: list[socket.socket] = []
        while len(clients) < CLIENTS:
            batch = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(100)]
            for client in batch:
                kept.enter_context(client).sendall(REQUEST + frame(b"40"))
            for client in batch:
                until(client, b"40{")
            clients += batch
        for client in clients:
            client.sendall(frame(b'42["echo","hello"]'))
        for client in clients:
            until(client, b'42["echo","hello"]')
        facts = server.ask()
        assert facts["sessions"] == CLIENTS
        assert facts["tasks"] <= 16, facts
        assert (resident() - memory) / CLIENTS < 40_000
        for client in clients:
            reset(client)
        last = settled(server, before, 10)  # of 20 in which stock's books alone keep its handlers busy
        assert (last["connected"], last["disconnected"], last["twice"]) == (CLIENTS + 1, CLIENTS + 1, 0), last
        assert last["sessions"] == 0, last
        assert last["fds"] <= before["fds"], last
        assert "Traceback" not in server.log


def leave(client: socket.socket, way: str) -> bool:
    """Begins to leave. False if the server has to find out."""
    if way == "stalled":
        client.sendall(frame(b'42["flood",3000]'))
    elif way == "half":
        client.sendall(b"\x81\xfe\x10")
    elif way == "close":
        client.sendall(frame(b"\x03\xe8", 8))
    if way in ("silent", "stalled"):
        return False
    (reset if way == "reset" else socket.socket.close)(client)
    return True


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stack", [STACKS[0], STACKS[4], STACKS[7]], ids=[IDS[0], IDS[4], IDS[7]])
def test_a_storm_of_leaves(tmp_path: Path, stack: tuple[str, str, str, str, bool]) -> None:
    """20,000 clients, in six ways; some wait until they are left, and hundreds are there at a time."""
    with serve(tmp_path, stack, INTERVAL=str(INTERVAL), TIMEOUT=str(TIMEOUT)) as server:
        begin_session(server.port).close()  # the first one starts the engine
        before = settled(server, {"fds": 0}, 2)
        chosen = random.Random(1)
        with contextlib.ExitStack() as kept:
            waiting: deque[tuple[float, socket.socket]] = deque()
            for _ in range(LEAVES):
                client = kept.enter_context(begin_session(server.port, receive_buffer=4096))
                if not leave(client, *chosen.choices(list(WAYS), WAYS.values())):
                    waiting.append((time.monotonic() + KEPT, client))
                while waiting and waiting[0][0] < time.monotonic():
                    reset(waiting.popleft()[1])
            last = settled(server, before, KEPT)
        assert (last["connected"], last["disconnected"], last["twice"]) == (LEAVES + 1, LEAVES + 1, 0), last
        assert last["sessions"] == 0, last
        assert last["fds"] <= before["fds"], last
        assert last["tasks"] <= before["tasks"] + 4, last  # what the server's own pool has started since
        assert "Traceback" not in server.log
        assert server.log.count("Booting worker") == 1
