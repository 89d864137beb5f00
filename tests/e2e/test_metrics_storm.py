"""A storm of real clients, and `kill -9` in its middle: the counters say what the clients counted, to the unit."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from test_metrics_gunicorn import started

websocket = pytest.importorskip("websocket")

APP = """
import os, hangup
def app(environ, start_response):
    if environ.get("HTTP_UPGRADE") == "websocket":
        ws = hangup.WebSocket(environ)
        try:
            while True:
                ws.send(f"{os.getpid()} {ws.receive()}")
        except hangup.HangupError:
            return []
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

CLIENTS, BROWSERS = 16, 2


class Storm:
    """What its clients counted, and when they rest."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.counted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.going_on = threading.Event()
        self.over = threading.Event()
        self.served_by: dict[int, str] = {}
        self.at_rest: set[int] = set()
        self.victim = ""
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=(self._chat, n)) for n in range(CLIENTS)]
        self.threads += [threading.Thread(target=self._run, args=(self._browse, n)) for n in range(BROWSERS)]

    def _run(self, client: Any, number: int) -> None:
        try:
            client(number)
        except BaseException as error:
            self.errors.append(error)

    def count(self, **what: int) -> None:
        with self._lock:
            self.counted.update(what)

    def _chat(self, number: int) -> None:
        """Echoes, one after the other. A client of the victim rests with nothing under way, then comes back."""
        text = f"{number} " * (number + 1)
        while not self.over.is_set():
            client = websocket.create_connection(f"ws://127.0.0.1:{self.port}/", timeout=20)
            self.count(connections=1, opened=1)
            with self._lock:
                self.served_by.pop(number, None)
            while not self.over.is_set():
                client.send(text)
                server, _, echoed = client.recv().partition(" ")
                assert echoed == text
                self.count(messages=1)
                with self._lock:
                    self.served_by[number] = server
                if server == self.victim:
                    with self._lock:
                        self.at_rest.add(number)
                    self.going_on.wait(30)
                    client.shutdown()  # the connection is dead: its worker is
                    break
            else:
                client.close()  # the close handshake
                self.count(closed=1)

    def _browse(self, number: int) -> None:
        """Requests, one after the other. One may meet the end of the worker: then it was accepted all the same."""
        while not self.over.is_set():
            connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.connect()
            self.count(connections=1)
            try:
                connection.request("GET", "/", headers={"Connection": "close"})
                assert connection.getresponse().read() == b"ok"
                self.count(answered=1)
            except (ConnectionError, OSError):
                self.count(cut=1)
            finally:
                connection.close()

    def rest(self) -> tuple[int, int]:
        """Has the clients of one worker rest: its number, and how many they are."""
        assert wait_until(lambda: len(self.served_by) == CLIENTS, 20), self.errors
        with self._lock:
            self.victim = Counter(self.served_by.values()).most_common(1)[0][0]
            theirs = {number for number, server in self.served_by.items() if server == self.victim}
        assert wait_until(lambda: theirs <= self.at_rest, 20), self.errors
        return int(self.victim), len(theirs)


class Watching(threading.Thread):
    """Reads the counters from outside for as long as the storm lasts; none goes down."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid, self.readings, self.fell = pid, 0, []
        self.over = threading.Event()

    def run(self) -> None:
        last: dict[str, int] = {}
        while not self.over.is_set():
            family = metrics.read(self.pid)
            total = {name: value for name, value in family.total.items() if "open" not in name}
            self.fell += [
                (name, last[name], value) for name, value in total.items() if value < last.get(name, 0)
            ]
            for name, value in family.dead.items():
                parts = value + sum(counted[name] for counted in family.workers.values())
                if parts != family.total[name]:
                    self.fell.append((name, parts, family.total[name]))
            last, self.readings = total, self.readings + 1


@pytest.mark.parametrize("version", [pytest.param("21.2.0", marks=pytest.mark.slow), "27.0.1"])
def test_the_counters_agree_with_the_clients_to_the_unit(tmp_path: Path, version: str) -> None:
    """Two workers; one is killed while its HTTP clients, and everybody at the other one, go on."""
    args = ("-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "40", "-w", "2")
    with gunicorn(tmp_path, *args, app=APP, version=version) as server:
        started(server, 2)
        storm, watching = Storm(server.port), Watching(server.process.pid)
        watching.start()
        for thread in storm.threads:
            thread.start()
        try:
            victim, killed_with = storm.rest()
            os.kill(victim, signal.SIGKILL)
            assert wait_until(lambda: victim not in metrics.read(server.process.pid).workers, 10)
            dead = metrics.read(server.process.pid).dead
            storm.victim = ""
            storm.going_on.set()
            so_far = storm.counted["messages"]
            assert wait_until(lambda: storm.counted["messages"] > so_far + 500, 30), storm.errors
        finally:
            storm.going_on.set()
            storm.over.set()
            for thread in storm.threads:
                thread.join(30)
            watching.over.set()
            watching.join(30)
        assert storm.errors == []
        counted = storm.counted

        def told() -> dict[str, int]:
            total = metrics.read(server.process.pid).total
            return {
                "connections": total["accepted"],
                "opened": total["websockets"],
                "messages": total["messages_received"],
                "closed": total['websockets_closed{cause="peer"}'],
            }

        expected = {name: counted[name] for name in ("connections", "opened", "messages", "closed")}
        assert wait_until(lambda: told() == expected, 10), (told(), expected)
        assert dead["websockets"] - dead["websockets_closed"] == killed_with > 0
        assert metrics.read(server.process.pid).total["websockets_open"] == 0
        assert watching.fell == []
        assert watching.readings > 20
        assert counted["answered"] > 0
