"""The mild rungs, which need a worker with hangup in it: its control socket closes and drains."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from drill import QUICK, Watched, free_port, get, strike, watch
from hangup._demo.server import wait_until
from raw_websocket import begin_session, close_code, frame, until

APP = """
import os, socketio
from urllib.parse import parse_qs

sio, kept = socketio.Server(async_mode="threading"), []

@sio.on("echo")
def echo(sid, data):
    sio.emit("echo", os.getpid(), to=sid)

def rest(environ, start_response):
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if environ["PATH_INFO"] == "/leak" and str(os.getpid()) != asked["not"]:
        kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(int(asked["n"])))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(sio, rest)
"""


class SocketIOClient(threading.Thread):
    """It asks without a pause who serves it, and counts how often nobody did."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = begin_session(port)
        self.disconnects = 0
        self.worker = self.ask()
        self._ended = threading.Event()
        self.start()

    def ask(self) -> int:
        self.socket.sendall(frame(b'42["echo",1]'))
        answer = until(self.socket, b"]", after=b'42["echo"')
        return int(answer.rpartition(b",")[2].partition(b"]")[0])

    def run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                assert self.ask() == self.worker
            except (OSError, AssertionError, ValueError):
                self.disconnects += 1
                return

    def end(self) -> None:
        self._ended.set()
        self.join()
        self.socket.close()


@contextlib.contextmanager
def guarded_service(
    directory: Path, workers: int, *options: str, limit: int = 0
) -> Iterator[tuple[Watched, int]]:
    """A watch over a gunicorn with hangup, and its port."""
    pytest.importorskip("socketio")
    (directory / "app.py").write_text(APP)
    port = free_port()
    words = [sys.executable, "-m", "gunicorn", "-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4",
             "--workers", str(workers), "--graceful-timeout", "5", "-b", f"127.0.0.1:{port}", "app:app"]  # fmt: skip
    if limit:
        words = ["prlimit", f"--nofile={limit}", *words]
    with watch(directory, *QUICK, "--state", "off", *options, "--", *words) as watched:
        assert wait_until(lambda: get(port) is not None, 30, every=0.1)
        yield watched, port


def test_of_a_flood_of_silent_clients_each_is_closed_and_nobody_else(tmp_path: Path) -> None:
    """In the same worker, whose healthy client is not dropped."""
    with guarded_service(tmp_path, 1, "--silent-for", "2", "--zombies", "10") as (watched, port):
        client = SocketIOClient(port)
        silent = [begin_session(port) for _ in range(30)]
        try:
            recovered = watched.wait("recovered", 30)
            assert watched.remedies == ["close"], watched.said
            assert all(close_code(one) == 1000 for one in silent)
            assert client.disconnects == 0
            assert wait_until(lambda: watched.workers() == [client.worker], 5)
            print(f"recovered after {recovered['seconds']} s")
        finally:
            client.end()
            for one in silent:
                one.close()


@pytest.mark.slow
def test_a_worker_that_leaks_is_drained_and_its_clients_are_told_to_come_back(tmp_path: Path) -> None:
    """The clients of the other worker do not notice."""
    config = tmp_path / "watch.toml"
    config.write_text("drain_within = 4.0\n")
    with guarded_service(tmp_path, 2, "--config", str(config), limit=300) as (watched, port):
        clients = [SocketIOClient(port) for _ in range(1)]
        while len({client.worker for client in clients}) < 2:
            clients.append(SocketIOClient(port))
        spared = clients[0]
        others: list[socket.socket] = [one.socket for one in clients if one.worker != spared.worker]
        try:
            strike(port, "/leak?n=240&", spared.worker, lambda answer: answer != str(spared.worker).encode())
            print(f"recovered after {watched.wait('recovered', 40)['seconds']} s")
            assert watched.remedies == ["drain"], watched.said
            assert sum(one.disconnects for one in clients if one.worker == spared.worker) == 0
            assert wait_until(
                lambda: all(one.disconnects for one in clients if one.worker != spared.worker), 10
            )
            assert others
            assert get(port) is not None
        finally:
            for one in clients:
                one.end()


@pytest.mark.slow
def test_what_would_be_done_is_said_and_not_done(tmp_path: Path) -> None:
    """A dry run beside the real one: nobody is closed by it, and it does not go up the ladder."""
    with guarded_service(tmp_path, 1, "--zombies", "1000") as (watched, port):
        silent = [begin_session(port) for _ in range(6)]
        try:
            options = (
                "--dry-run",
                "--pid",
                str(watched.master),
                "--silent-for",
                "1",
                "--zombies",
                "5",
                *QUICK,
            )
            (tmp_path / "dry").mkdir()
            with watch(tmp_path / "dry", *options) as dry:
                would = dry.wait("would", 20)
                assert (would["remedy"], dry.remedies) == ("close", [])
                assert not wait_until(lambda: len(dry.events("would")) > 1, 3)
                assert dry.end() == 0
            for one in silent:
                one.setblocking(False)
                with pytest.raises(BlockingIOError):
                    one.recv(1)
        finally:
            for one in silent:
                one.close()
