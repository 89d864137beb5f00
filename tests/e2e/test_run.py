"""Servers that are not gunicorn: ``socketio.run()`` on werkzeug, pywsgi and eventlet, with one line more."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import wait_until
from hangup.testing import reset
from run_app import APP

socketio = pytest.importorskip("socketio")
pytest.importorskip("flask_socketio")
websocket = pytest.importorskip("websocket")

#: The model, what it needs, its environment, and whether the handshake is left to hangup.
SERVERS = {
    "werkzeug": ("threading", "werkzeug", {}, True),
    "gevent": ("gevent", "gevent", {"WITHOUT": "geventwebsocket"}, True),
    "gevent-websocket": ("gevent", "geventwebsocket", {}, False),
    "pywsgi": ("gevent", "geventwebsocket", {"SERVER": "pywsgi"}, True),  # installed, and not used
    "eventlet": ("eventlet", "eventlet", {}, True),
}
EVERY_SERVER = pytest.mark.parametrize("name", SERVERS)


class Service:
    """An application that serves itself; ended by its pid."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        return int(self.log.partition("port ")[2].partition("\n")[0] or 0)

    def answers(self) -> bool:
        """Whether it does."""
        assert self.process.poll() is None, self.log
        with contextlib.suppress(OSError):
            return bool(self.port and self.ask())
        return False

    def ask(self) -> dict[str, Any]:
        """What it says of itself."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers={"Connection": "close"})
        with urllib.request.urlopen(request, timeout=10) as response:
            facts: dict[str, Any] = json.loads(response.read())
        return facts

    def is_idle(self) -> bool:
        """Whether it has used no processor time for a while."""
        used = [self._ticks()]
        time.sleep(0.1)
        return used == [self._ticks()]

    def _ticks(self) -> str:
        with open(f"/proc/{self.process.pid}/stat") as stat:
            return " ".join(stat.read().rpartition(")")[2].split()[11:13])

    def settled(self, before: dict[str, Any]) -> bool:
        """Whether it is back where it was, and everybody who connected has left, once."""
        last: dict[str, Any] = {}

        def is_settled() -> bool:
            last.update(self.ask())
            return bool(
                last["connected"] == last["disconnected"]
                and not last["sessions"]
                and last["fds"] <= before["fds"]
            )

        return wait_until(is_settled, 10, every=0.05)


@contextlib.contextmanager
def serve(directory: Path, name: str) -> Iterator[Service]:
    mode, needs, env, _ = SERVERS[name]
    pytest.importorskip(needs)
    (directory / "app.py").write_text(APP)
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "app.py"],
            cwd=directory, env={**os.environ, "MODE": mode, **env},
            stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    service = Service(process, log)
    try:
        assert wait_until(service.answers, 20), service.log
        yield service
    finally:
        process.kill()
        process.wait()


def connected(service: Service, transports: list[str]) -> Any:
    """A client that answers questions."""
    client = socketio.Client(reconnection=False)
    client.on("question", lambda question: f"{question}?")
    client.connect(f"http://127.0.0.1:{service.port}", transports=transports, wait_timeout=10)
    assert client.transport() == transports[-1]
    return client


def open_websocket(service: Service) -> Any:
    """A WebSocket whose Socket.IO session is connected."""
    url = f"ws://127.0.0.1:{service.port}/socket.io/?EIO=4&transport=websocket"
    client = websocket.create_connection(url, timeout=20)
    assert client.recv().startswith("0{")
    client.send("40")
    assert client.recv().startswith("40{")
    return client


def visit(service: Service) -> None:
    """Six clients, three of which leave abruptly."""
    clients = [connected(service, way) for way in (["websocket"], ["polling", "websocket"], ["polling"])]
    told = threading.Barrier(len(clients) + 1)
    for client in clients:
        client.on("told", lambda _: told.wait(10))
        for data in ("x", "y" * 200_000, {"nested": [None, "é"]}, b"\x00\xff" * 40_000):
            assert client.call("echo", data, timeout=10) == data
        assert client.call("ask", "where", timeout=10) == "where?"
    clients[0].emit("tell", "everybody")
    told.wait(10)
    for client in clients:
        client.disconnect()
    for leave in (reset, socket.socket.close, lambda sock: sock.shutdown(socket.SHUT_RDWR)):
        abrupt = open_websocket(service)
        leave(abrupt.sock)
        abrupt.sock.close()


@EVERY_SERVER
def test_clients_are_served_and_leave_nothing_behind(tmp_path: Path, name: str) -> None:
    """Echoes, acknowledgements both ways, a broadcast, the upgrade, and every way to leave."""
    is_native = SERVERS[name][3]
    with serve(tmp_path, name) as service:
        assert service.ask()["status"]["state"] == "on"
        visit(service)  # opens what is opened once
        assert service.settled(service.ask()), service.ask()
        before = service.ask()
        visit(service)
        assert service.settled(before), service.ask()
        assert service.ask()["connected"] == 12
        assert service.ask()["websockets"] == (10 if is_native else 0)
        assert "Traceback" not in service.log
        assert ("the server answered the handshake itself (gevent-websocket)" in service.log) != is_native


@EVERY_SERVER
def test_ctrl_c_ends_it_with_clients_connected(tmp_path: Path, name: str) -> None:
    """At once; who is on a native WebSocket is told."""
    with serve(tmp_path, name) as service:
        clients = [open_websocket(service) for _ in range(10)]
        assert wait_until(service.is_idle, 10, every=0.05)  # what runs meanwhile would get the interrupt
        service.process.send_signal(signal.SIGINT)
        service.process.wait(3)
        for client in clients:
            with (
                contextlib.nullcontext()
                if SERVERS[name][3]
                else contextlib.suppress(OSError, websocket.WebSocketException)
            ):
                opcode, payload = client.recv_data()
                assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe9")  # 1001
            client.shutdown()
        assert "Fatal Python error" not in service.log
