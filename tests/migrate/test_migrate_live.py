"""A small service on eventlet, run; migrated; and run on threads with hangup."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hangup._demo.server import MissingGunicorn, gunicorn_home, wait_until
from init_files import hangup

OLD_SOCKETIO = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"

APP = '''
"""Who is here, and a clock."""
import eventlet
eventlet.monkey_patch()

import os
import sys
from eventlet.queue import Queue
from eventlet.semaphore import Semaphore
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
socketio = SocketIO(app, async_mode="eventlet", manage_session=False)
users = {}  # sid: name
lock = Semaphore()
jobs = Queue()


def work():
    while True:
        sid, text = jobs.get()
        eventlet.sleep(0.01)
        socketio.emit("done", text.upper(), to=sid)


def later(sid):
    socketio.emit("later", sorted(set(users.values())), to=sid)


@socketio.on("hello")
def hello(name):
    with lock:
        users[request.sid] = name
    join_room("all")
    eventlet.spawn_after(0.05, later, request.sid)
    return [name, "threading" in type(lock).__module__]


@socketio.on("job")
def job(text):
    jobs.put((request.sid, text))


@app.get("/worker")
def worker():
    guarded = "hangup" in sys.modules and sys.modules["hangup"].status()["integrations"]["gunicorn"]["state"]
    return {"patched": "eventlet" in sys.modules, "mode": socketio.async_mode, "hangup": guarded}


eventlet.spawn(work)

if __name__ == "__main__":
    socketio.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", 5000)))
'''


def project(folder: Path) -> None:
    """As it was deployed in 2023."""
    (folder / "app.py").write_text(APP.lstrip())
    (folder / "Procfile").write_text(
        "web: gunicorn --worker-class eventlet -w 1 --graceful-timeout 2 app:app\n"
    )
    (folder / "requirements.txt").write_text(
        "Flask-SocketIO==5.3.5\npython-socketio==5.10.0\neventlet==0.33.3\ngunicorn==21.2.0\ndnspython<2\n"
    )


@contextlib.contextmanager
def deployed(folder: Path, version: str) -> Iterator[int]:
    """What the Procfile says, under a gunicorn; its port."""
    try:
        path = os.pathsep.join([str(gunicorn_home(version)), str(OLD_SOCKETIO)])
    except MissingGunicorn as absent:
        pytest.skip(str(absent))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    words = shlex.split((folder / "Procfile").read_text().partition("web: ")[2])
    assert words[0] == "gunicorn"
    log = folder / f"log-{version}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *words, "-b", f"127.0.0.1:{port}"], cwd=folder,
            env={**os.environ, "PYTHONPATH": path}, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        assert wait_until(lambda: b"Booting worker" in log.read_bytes() or process.poll() is not None, 30)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


def conversation(port: int, transport: str) -> tuple[list[object], list[object]]:
    """What a client is told: the acknowledgement, and the events."""
    import socketio

    client = socketio.Client(reconnection=False)
    heard: list[object] = []
    client.on("done", lambda text: heard.append(text))
    client.on("later", lambda names: heard.append(names))
    client.connect(f"http://127.0.0.1:{port}", transports=[transport], wait_timeout=20)
    try:
        told = client.call("hello", "ada", timeout=20)
        client.emit("job", "text")
        assert wait_until(lambda: len(heard) == 2, 20), heard
    finally:
        client.disconnect()
    return told, sorted(heard, key=str)


def about(port: int) -> str:
    """What the worker says of itself."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/worker", timeout=20) as answer:
        text: str = answer.read().decode().strip()
        return text


@pytest.mark.skipif(sys.version_info < (3, 10), reason="gunicorn 27 needs Python 3.10")
def test_a_service_on_eventlet_is_migrated_and_does_what_it_did(tmp_path: Path) -> None:
    """gunicorn 21.2 and eventlet before; gunicorn 27, gthread and hangup after; the same client, the same answers."""
    for package in ("socketio", "flask_socketio", "websocket", "eventlet"):
        pytest.importorskip(package)
    if not OLD_SOCKETIO.is_dir():
        pytest.skip("python-socketio 5.10.0 is not installed")
    project(tmp_path)
    with deployed(tmp_path, "21.2.0") as port:
        assert wait_until(lambda: b"Listening" in (tmp_path / "log-21.2.0").read_bytes(), 10)
        before = [conversation(port, transport) for transport in ("websocket", "polling")]
        assert about(port) == '{"hangup":false,"mode":"eventlet","patched":true}'
    said = hangup(tmp_path, "migrate", "eventlet", "--write")
    assert said.returncode == 0, said.stdout
    assert "0 blockers" in said.stdout
    assert "app.py" in said.stdout
    assert (tmp_path / "requirements.txt").read_text() == (
        "Flask-SocketIO==5.3.5\npython-socketio==5.10.0\ngunicorn>=21.2,<28\nhangup\n"
    )
    assert "import eventlet" not in (tmp_path / "app.py").read_text()
    with deployed(tmp_path, "27.0.1") as port:
        after = [conversation(port, transport) for transport in ("websocket", "polling")]
        assert about(port) == '{"hangup":"on","mode":"threading","patched":false}'
    assert [answers[1] for answers in after] == [answers[1] for answers in before] == [["TEXT", ["ada"]]] * 2
    assert [answers[0] for answers in before] == [["ada", False]] * 2
    assert [answers[0] for answers in after] == [["ada", True]] * 2
    assert "\n  users is changed" not in said.stdout  # it is, under a lock
