"""``hangup storm`` on real servers: what clients do, what the server does to them, and how healthy ones fare."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup._demo.server import wait_until
from load import HANGUP, load, rested, run, serve, since

LEAVING = ("rst", "fin", "burst", "reconnect")
STAYING = ("half", "silent", "slow", "slowloris")
QUICK = ("-s", "1.2", "--before", "0.3", "--after", "0.3", "-c", "24", "--wave", "0.4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with serve(tmp_path_factory.mktemp("storm"), "--keep-alive", "1", "--graceful-timeout", "1") as server:
        yield server


@pytest.mark.parametrize(
    ("path", "more"),
    [
        pytest.param("http://{}/large", (), marks=pytest.mark.slow),
        ("http://{}/", ("--post", "5000")),
        ("ws://{}/echo", ()),
        pytest.param("http://{}/socket.io/", (), marks=pytest.mark.slow),
        ("http://{}/socket.io/", ("--transport", "polling")),
    ],
    ids=["get", "post", "websocket", "socketio", "polling"],
)
def test_every_kind_storms_every_protocol(server: Gunicorn, path: str, more: tuple[str, ...]) -> None:
    """Nobody is refused, everybody's end is told, healthy clients are served, and the server logs no traceback."""
    said = load("storm", path.format(f"127.0.0.1:{server.port}"), *QUICK, *more, "--require", "success>=100%")
    assert set(said["kinds"]) == {*LEAVING, *STAYING}
    for kind, counted in said["kinds"].items():
        assert counted["attempted"] >= counted["connected"] > 0, (kind, counted)
        assert counted["refused"] == 0
        ended = counted["left"] + counted["reset"] + counted["unanswered"] + counted["open"]
        ended += sum(counted["answered"].values()) + sum(counted["closed"].values()) + len(counted["other"])
        assert ended == counted["connected"], (kind, counted)
        assert counted["other"] == [], (kind, counted)
    for kind in ("rst", "fin"):
        assert said["kinds"][kind]["left"] > 0
    for phase in ("before", "during", "after"):
        assert said["figures"][phase]["success"] == 100.0
    assert "Traceback" not in server.log


@pytest.mark.parametrize(("kind", "when"), [("rst", "before-response"), ("fin", "during-response")])
def test_a_reset_is_a_reset_and_an_end_is_an_end(kind: str, when: str) -> None:
    """As the server's recv(2) sees it: a reset with nothing unread, an end though much is unread."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def look() -> None:
            with listener.accept()[0] as client:
                client.settimeout(10)
                client.recv(65_536)
                if kind == "fin":
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
                try:
                    while client.recv(65_536):
                        pass
                    seen.append("fin")
                except ConnectionResetError:
                    seen.append("rst")

        thread = threading.Thread(target=look)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        line = ("storm", url, "--mix", kind, "--when", when, "-c", "1", "--rate", "1")
        load(*line, "-s", "0.8", "--no-probe")
        thread.join(10)
    assert seen == [kind]


def test_the_same_seed_cuts_at_the_same_bytes() -> None:
    """And another one does not."""
    assert cuts(5) == cuts(5) != cuts(6)


def cuts(seed: int) -> list[bytes]:
    """What twelve clients sent before they left."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a/path"
        line = [*HANGUP, "storm", url, "--mix", "fin", "--when", "in-head", "-c", "1", "--rate", "20"]
        process = subprocess.Popen(
            [*line, "--seed", str(seed), "-s", "30", "--no-probe"],
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            for _ in range(12):
                with listener.accept()[0] as client, client.makefile("rb") as stream:
                    client.settimeout(10)
                    received.append(stream.read().split(b"Host:")[0])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)
    return received


def test_what_the_server_says_when_it_closes_is_told(server: Gunicorn, tmp_path: Path) -> None:
    """Clients that stay are closed with 1012 when a native worker leaves, and answered when a request is too late."""
    with serve(tmp_path, "--graceful-timeout", "1") as leaving:
        url = f"ws://127.0.0.1:{leaving.port}/echo"
        line = [
            *HANGUP,
            "storm",
            url,
            "--mix",
            "silent",
            "-c",
            "10",
            "-s",
            "60",
            "--no-probe",
            "-f",
            "json",
            "--rate",
            "0",
        ]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert wait_until(lambda: leaving.ask()["here"] == 10, 20)
        leaving.end()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[0]
    import json

    silent = json.loads(said)["kinds"]["silent"]
    closed = {word.split()[0]: count for word, count in silent["closed"].items()}
    assert closed.get("1012", 0) + closed.get("1001", 0) == 10, silent


def test_a_half_closed_client_is_answered(server: Gunicorn) -> None:
    """As HTTP has it."""
    url = f"http://127.0.0.1:{server.port}/"
    line = ("--mix", "half", "--when", "before-response", "-c", "4", "--rate", "20", "-s", "1", "--no-probe")
    half = load("storm", url, *line)["kinds"]["half"]
    assert half["answered"]["200"] >= half["connected"] - 4 > 0


def test_reconnecting_clients_come_back_together_or_apart(server: Gunicorn) -> None:
    """Each wave is a leave and a return; with jitter it lasts longer."""
    url = f"ws://127.0.0.1:{server.port}/echo"
    line = ("--mix", "reconnect", "-c", "20", "-s", "1.5", "--wave", "0.3", "--no-probe")
    begin = rested(server)
    together = load("storm", url, *line)["kinds"]["reconnect"]
    counted = since(begin, rested(server))
    assert counted["connects"] == together["connected"] >= 60
    apart = load("storm", url, *line, "--jitter", "0.5")["kinds"]["reconnect"]
    assert 20 < apart["connected"] < together["connected"]


def test_healthy_clients_can_visit_another_address(server: Gunicorn) -> None:
    """A health endpoint beside a WebSocket, for example."""
    port = server.port
    said = load(
        "storm", f"ws://127.0.0.1:{port}/echo", *QUICK, "--mix", "rst", "--probe", f"http://127.0.0.1:{port}/"
    )
    assert said["probe_url"].endswith("/")
    assert said["figures"]["during"]["success"] == 100.0


def test_a_server_that_is_stopped_fails_its_healthy_clients(tmp_path: Path) -> None:
    """Nobody answers during the storm: that is found, and is status 1."""
    with serve(tmp_path) as server:
        worker = server.ask()["pid"]
        url = f"http://127.0.0.1:{server.port}/"
        more = (
            "--mix",
            "silent",
            "-c",
            "3",
            "-s",
            "1.5",
            "--before",
            "0",
            "--after",
            "0",
            "--patience",
            "0.4",
        )
        os.kill(worker, signal.SIGSTOP)
        try:
            said = load("storm", url, *more, status=1)
        finally:
            os.kill(worker, signal.SIGCONT)
    assert said["figures"]["during"]["success"] == 0.0
    assert said["probe"]["during"]["errors"][0]["kind"] == "no answer"


def test_nobody_at_the_port_is_a_result() -> None:
    """Every attempt is refused, healthy ones too."""
    said = load("storm", "http://127.0.0.1:1/", *QUICK, status=1)
    for counted in said["kinds"].values():
        assert counted["refused"] == counted["attempted"] > 0
    assert said["figures"]["during"]["success"] == 0.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("http://127.0.0.1:1/", "--when", "mid-frame"), 'there are ["before-request"'),
        (("http://127.0.0.1:1/", "--mix", "explode"), "'explode' is none of rst, fin"),
        (("http://192.0.2.1/",), "--allow-remote 192.0.2.1"),
        (("http://127.0.0.1:1/", "--probe", "http://192.0.2.1/"), "--allow-remote 192.0.2.1"),
        (("http://127.0.0.1:1/", "--no-probe", "--require", "success>=1%"), "--no-probe"),
        (("http://127.0.0.1:1/", "-s", "nan"), "nan"),
    ],
)
def test_a_wrong_command_line_is_status_two(line: tuple[str, ...], reason: str) -> None:
    """And nothing was sent."""
    done = run("storm", *line)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_people_are_shown_what_the_server_did(server: Gunicorn) -> None:
    """A row for each kind, healthy clients beside them, and the seed."""
    shown: Any = run("storm", f"ws://127.0.0.1:{server.port}/echo", *QUICK, "--seed", "7").stdout
    for word in (*LEAVING, *STAYING, "healthy clients", "during", "--seed 7", "success>=95%  met"):
        assert word in shown, shown
