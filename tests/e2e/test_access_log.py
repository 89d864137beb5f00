"""A WebSocket's line in the access log, by gunicorn's logger or by the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_gunicorn import gunicorn
from hangup._demo.server import wait_until
from socketio_app import APP

websocket = pytest.importorskip("websocket")
pytest.importorskip("socketio")

LOGGER = """
from gunicorn.glogging import Logger

class Mine(Logger):
    def access(self, resp, req, environ, request_time):
        path, bytes_sent = environ["PATH_INFO"], resp.sent
        self.info("mine %s %s %d %s", resp.status.split()[0], path, bytes_sent, request_time.total_seconds() < 60)
"""


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
@pytest.mark.parametrize("args", [["--logger-class", "mine.Mine"], ["--access-logfile", "-"], []], ids=str)
def test_the_line_of_a_websocket(tmp_path: Path, version: str, args: list[str]) -> None:
    """Comes once, at its end; not at all where there is no access log."""
    (tmp_path / "mine.py").write_text(LOGGER)
    stack = ["-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4"]
    with gunicorn(tmp_path, *stack, *args, app=APP, version=version, MODE="threading") as server:
        server.ask()
        client = websocket.create_connection(
            f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket", timeout=20
        )
        client.recv()
        assert "/socket.io/" not in server.log
        client.close()
        assert wait_until(lambda: not server.ask()["sessions"], 10)
        if not args:
            assert server.end() == 0
            assert "/socket.io/" not in server.log
            return
        wanted = (
            "mine 101 /socket.io/ " if "mine.Mine" in args else "websocket code=1000 cause=peer received="
        )
        assert wait_until(lambda: wanted in server.log, 10), server.log
        assert server.log.count("/socket.io/") == 1
