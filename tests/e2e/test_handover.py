"""Workers that are replaced while clients talk to them: nobody notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from javascript import require_node
from journal_app import JS
from rolling_app import APP
from several_workers import GEVENT, GTHREAD, OLDER, SYNC, WORKERS, Stack, serving

pytest.importorskip("flask_socketio")


class Crowd:
    """Clients that go on talking (``js/rolling.js``)."""

    def __init__(self, port: int, count: int, pause: int, beat: int) -> None:
        require_node()
        arguments = [f"http://127.0.0.1:{port}", str(count), str(pause), str(beat)]
        self._process = subprocess.Popen(
            ["node", "rolling.js", *arguments],
            cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.connected = self._read()["connected"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the clients ended"
        report: dict[str, Any] = json.loads(line)
        return report

    def begin(self, phase: str) -> None:
        """What answers take from now on is counted apart."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{phase}\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """What they report."""
        self.begin("end")
        report = self._read()
        self._process.wait(30)
        return report

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._process:  # which closes its pipes
            self._process.kill()


def serving_pids(server: Gunicorn) -> set[int]:
    return set(metrics.read(server.process.pid).serving)


def replace_one(server: Gunicorn, pid: int) -> None:
    """By TERM, which gunicorn answers with another worker."""
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: len(serving_pids(server) - {pid}) == WORKERS, 40), server.log


def reload(server: Gunicorn) -> None:
    before = serving_pids(server)
    server.process.send_signal(signal.SIGHUP)
    assert wait_until(
        lambda: len(serving_pids(server) - before) == WORKERS and not serving_pids(server) & before, 60
    ), server.log


def notices_nothing(report: dict[str, Any], server: Gunicorn) -> None:
    assert report["errors"] == {}, (report, server.log)
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    "stack",
    [GTHREAD, GEVENT, pytest.param(SYNC, marks=pytest.mark.slow)]
    + [pytest.param(stack, marks=pytest.mark.slow) for stack in OLDER],
    ids=lambda stack: f"{stack.worker}-{stack.version}",
)
def test_clients_notice_nothing_of_new_workers(tmp_path: Path, stack: Stack) -> None:
    """Each worker is told to leave, and then all of them by a reload."""
    ended = tmp_path / "ended"
    with serving(tmp_path, stack, APP, ENDED=str(ended)) as server:
        with Crowd(server.port, 60, 200, 20) as crowd:
            crowd.begin("rolling")
            for pid in serving_pids(server):
                replace_one(server, pid)
            reload(server)
            assert not ended.exists(), ended.read_text()
            report = crowd.end()
            notices_nothing(report, server)
            assert report["phases"]["rolling"]["count"] > 100
        assert metrics.read(server.process.pid).total["sessions_moved"] >= 60
