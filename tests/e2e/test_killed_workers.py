"""Workers that are killed, one after the other: their clients come back, the others notice nothing, nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from javascript import require_node
from journal_app import JS
from rolling_app import APP
from several_workers import GEVENT, GTHREAD, WORKERS, Stack, serving

pytest.importorskip("flask_socketio")
#: Milliseconds; socket.io-client's default, which it varies by half.
DELAY = 1000


def names_of_siblings(pid: int) -> set[str]:
    """Under which a worker listens for others (proc(5), net/unix)."""
    sockets = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            sockets.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return {name for inode, name in listening_names() if f"socket:[{inode}]" in sockets}


def listening_names() -> set[tuple[str, str]]:
    """Inodes and names."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if "@hangup-" in line]
    return {(line[6], line[7]) for line in lines if line[3] == "00010000"}  # __SO_ACCEPTCON


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def all_serve(server: Gunicorn) -> bool:
    return len(metrics.read(server.process.pid).serving) == WORKERS


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stack", "rounds", "count"),
    [
        (GTHREAD, 5, 40),
        pytest.param(GTHREAD, 30, 200, marks=pytest.mark.slow),
        pytest.param(GEVENT, 30, 200, marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value.worker if isinstance(value, Stack) else value),
)
def test_only_the_clients_of_a_killed_worker_notice(
    tmp_path: Path, stack: Stack, rounds: int, count: int
) -> None:
    """One is killed every two seconds."""
    require_node()
    with serving(tmp_path, stack, APP, ENDED=os.devnull) as server:
        before = descriptors(server.process.pid)
        command = ["node", "reconnecting.js", f"http://127.0.0.1:{server.port}", str(count), str(DELAY)]
        with subprocess.Popen(
            command, cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as clients:
            assert clients.stdout is not None
            try:
                assert json.loads(clients.stdout.readline())["connected"] == count
                killed, names = kill_one_after_the_other(server, rounds)
                assert wait_until(lambda: all_serve(server), 20), server.log
                time.sleep(2 * DELAY / 1000)  # in which the last ones are to be back
                report = json.loads(clients.communicate("", 30)[0])
            finally:
                clients.kill()
        only_theirs_were_lost(report, killed, count)
        assert len(names) >= 2 * rounds
        assert not names & {name for _, name in listening_names()}
        assert wait_until(lambda: descriptors(server.process.pid) <= before, 10)
        assert "Traceback" not in server.log


def kill_one_after_the_other(server: Gunicorn, rounds: int) -> tuple[list[int], set[str]]:
    """Who was, and the names under which they listened."""
    chance, killed, names = random.Random(8), [], set()
    for _ in range(rounds):
        due = time.monotonic() + 2
        victim = chance.choice(sorted(metrics.read(server.process.pid).serving - set(killed)))
        names |= names_of_siblings(victim)
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
        assert wait_until(lambda: victim not in metrics.read(server.process.pid).serving, 10), server.log  # noqa: B023
        time.sleep(max(0.0, due - time.monotonic()))
    return killed, names


def only_theirs_were_lost(report: dict[str, Any], killed: list[int], count: int) -> None:
    assert report["errors"] == {}
    assert report["there"] == count
    whose = {loss["pid"] for loss in report["losses"]} - {None}  # None: it had not said yet whose it was
    assert whose <= set(killed), report
    late = sorted(loss["back"] for loss in report["losses"])
    assert late, "nobody was lost"
    assert late[-1] <= 2 * DELAY, late
