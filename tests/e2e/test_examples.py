"""The examples, run the way their README says."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from ops_client import UnixConnection, connects
from ops_client import get as get_from

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def start(name: str, directory: Path, version: str = "27.0.1") -> Gunicorn:
    """In a copy of the folder: gunicorn leaves byte-code and sockets behind."""
    shutil.copytree(EXAMPLES / name, directory, dirs_exist_ok=True)
    return gunicorn(directory, app=(directory / "app.py").read_text(), version=version)


def get(port: int, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()
    finally:
        connection.close()


def test_the_readme_names_every_example() -> None:
    """And nothing else."""
    readme = (EXAMPLES / "README.md").read_text()
    for folder in (path for path in EXAMPLES.iterdir() if path.is_dir()):
        assert f"({folder.name})" in readme
        assert (folder / "requirements.txt").is_file()


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_own_hooks(tmp_path: Path, version: str) -> None:
    """hangup and the application's own hook have both run; /metrics is where the configuration says."""
    with start("own_hooks", tmp_path, version) as server:
        assert server.wait_until(lambda: server.port, 20), server.log
        assert get(server.port, "/download") == (EXAMPLES / "own_hooks" / "app.py").read_bytes()
        assert json.loads(get(server.port, "/hangup"))["stats"]["adopted"] >= 2
        assert "the application's own on_starting" in server.log
        path = str(tmp_path / "metrics.sock")
        assert server.wait_until(lambda: connects(path), 10), server.log
        with contextlib.closing(UnixConnection(path, timeout=10)) as connection:
            assert "hangup_accepted_total 2\n" in get_from(connection, "/metrics")[1]


def test_flask_socketio(tmp_path: Path) -> None:
    """Two clients; each hears what the other says."""
    socketio = pytest.importorskip("socketio")
    pytest.importorskip("flask_socketio")
    pytest.importorskip("websocket")
    heard = threading.Barrier(3, timeout=10)
    with start("flask_socketio", tmp_path) as server:
        assert server.wait_until(lambda: server.port, 20), server.log
        clients = [socketio.Client(reconnection=False) for _ in range(2)]
        for client in clients:
            client.on("said", lambda _text: heard.wait())
            client.connect(f"http://127.0.0.1:{server.port}", transports=["websocket"], wait_timeout=10)
        acknowledged = clients[0].call("say", "hello", timeout=10)
        heard.wait()
        assert acknowledged == {"queued": 2, "gone": 0}
        for client in clients:
            client.disconnect()
        status = json.loads(get(server.port, "/hangup"))["status"]
        assert status["integrations"]["gunicorn"]["state"] == "on"
        assert "Traceback" not in server.log
