"""``hangup bench`` on real servers, and on what is none."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until
from load import HANGUP, load, rested, run, serve, since
from load_app import APP

CROWD, SAMPLE = 10_000, 300
SOCKETIO = ("--protocol", "socketio")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with serve(tmp_path_factory.mktemp("bench")) as server:
        yield server


@pytest.mark.parametrize(
    ("mode", "more", "answers"),
    [
        ("sequential", ("-c", "5", "-n", "3"), 15),
        ("concurrent", ("-c", "5", "-n", "3"), 15),
        ("ramp", ("--steps", "2,5", "-s", "0.5"), 35),
        ("stress", ("-c", "20", "-s", "0.3"), 60),
        ("echo", ("-c", "5", "-s", "0.5"), 50),
    ],
)
@pytest.mark.parametrize("protocol", ["websocket", "polling"])
def test_every_mode_measures(
    server: Gunicorn, mode: str, more: tuple[str, ...], answers: int, protocol: str
) -> None:
    """All clients succeed, and their answers are there."""
    measure(server, mode, more, answers, protocol)


@pytest.mark.parametrize("protocol", ["http", "socketio"])
def test_every_protocol_is_measured(server: Gunicorn, protocol: str) -> None:
    """Those that have not been there with every mode."""
    measure(server, "concurrent", ("-c", "5", "-n", "3"), 15, protocol)


def measure(server: Gunicorn, mode: str, more: tuple[str, ...], answers: int, protocol: str) -> None:
    """A bench that has to succeed."""
    speaks = ("socketio", "--transport", "polling") if protocol == "polling" else (protocol,)
    url = f"http://127.0.0.1:{server.port}/{'echo' if protocol == 'websocket' else ''}"
    said = load("bench", url, "-m", mode, *more, "--protocol", *speaks, "--require", "errors<=0%")
    total = said["total"]
    assert total["succeeded"] == total["clients"] > 0
    if mode in ("sequential", "concurrent"):
        assert total["answered"] == answers
    assert total["answered"] >= answers * 0.5, total
    assert total["latency_us"]["count"] == total["answered"]
    assert said["passed"]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_broadcast_is_counted_at_everybody(server: Gunicorn, transport: str) -> None:
    """As many deliveries as broadcasts and clients."""
    url = f"http://127.0.0.1:{server.port}"
    total = load("bench", url, "-m", "fanout", "-c", "8", "-s", "0.5", *SOCKETIO, "--transport", transport)[
        "total"
    ]
    assert total["answered"] == total["expected"] == 8 * total["sent"] > 0


def test_what_is_not_broadcast_is_missing(server: Gunicorn) -> None:
    """An echo comes to one client of four."""
    url = f"http://127.0.0.1:{server.port}"
    said = load(
        "bench",
        url,
        "-m",
        "fanout",
        "-c",
        "4",
        "-s",
        "0.3",
        "--patience",
        "1",
        "--event",
        "echo",
        *SOCKETIO,
        status=1,
    )
    assert said["total"]["figures"]["success"] == 25.0
    assert said["total"]["errors"][0]["detail"] == "waited for a broadcast to arrive"


def test_an_acknowledgement_is_an_answer(server: Gunicorn) -> None:
    """That of its own event."""
    url = f"http://127.0.0.1:{server.port}"
    total = load("bench", url, "-m", "concurrent", "-c", "3", "-n", "4", "--ack", *SOCKETIO)["total"]
    assert total["answered"] == 12


def test_a_server_that_does_not_upgrade_is_told_by_what_it_says(server: Gunicorn) -> None:
    """Its status, and the first line of its body; a terminal is not given what it would obey."""
    line = ("bench", f"ws://127.0.0.1:{server.port}/forbidden", "-m", "sequential", "-c", "2")
    (error,) = load(*line, status=1)["total"]["errors"]
    assert error == {"kind": "HTTP status", "detail": "403: not \x1b[31m!", "count": 2}
    shown = run(*line).stdout
    assert "\x1b" not in shown
    assert "403: not \\x1b[31m!" in shown


def test_a_server_that_upgrades_wrongly_is_no_websocket_server(server: Gunicorn) -> None:
    """Its Sec-WebSocket-Accept is of another key."""
    url = f"ws://127.0.0.1:{server.port}/wrong"
    (error,) = load("bench", url, "-m", "sequential", "-c", "1", status=1)["total"]["errors"]
    assert error["kind"] == "not a WebSocket server", error


@pytest.mark.parametrize(
    ("command", "packet"),
    [
        ("bench", b'0{"sid":"x","pingInterval":18446744073709551615}'),
        ("storm", b'0{"sid":"x","pingInterval":18446744073709551615}'),
        ("bench", b'0{"sid":"a\\r\\nX: y"}'),
        ("bench", b"0" + b"[" * 5000),
        ("bench", b"\x1e" * 5000),
        ("storm", b"\xff"),
    ],
)
def test_a_server_that_talks_nonsense_breaks_nothing(command: str, packet: bytes) -> None:
    """Of Socket.IO: its clients fail, and are counted."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(packet) + packet
    more = (
        ("-m", "sequential", "-c", "2") if command == "bench" else ("--mix", "half", "-c", "2", "-s", "0.7")
    )
    with answering(answer) as address:
        url = f"http://{address}/"
        line = (command, url, *SOCKETIO, "--transport", "polling", "--patience", "0.3", *more)
        said = load(*line, *(("--before", "0", "--after", "0.5") if command == "storm" else ()), status=1)
    counted = said["total"] if command == "bench" else said["probe"]["during"]
    assert counted["succeeded"] == 0
    assert counted["failed"] > 0


@contextlib.contextmanager
def answering(said: bytes, family: int = socket.AF_INET) -> Iterator[str]:
    """A server that says this to everybody and closes. Its address."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((host, 0), family=family) as listener:
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError), listener.accept()[0] as client:
                    client.settimeout(5)
                    if not over.is_set() and client.recv(65_536):
                        client.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"[::1]:{port}" if family == socket.AF_INET6 else f"127.0.0.1:{port}"
        finally:
            over.set()
            with contextlib.suppress(OSError):
                socket.create_connection((host, port), timeout=5).close()
            thread.join(10)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"", "closed without a word"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not a WebSocket server"),
        (b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n0\r\n\r\n", "HTTP status"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "not HTTP"),
    ],
)
def test_what_is_no_websocket_server_is_counted_by_kind(said: bytes, kind: str) -> None:
    """And its example is a line, not a kilobyte."""
    with answering(said) as address:
        report = load("bench", f"ws://{address}/", "-m", "sequential", "-c", "2", "--patience", "3", status=1)
    (error,) = report["total"]["errors"]
    assert (error["kind"], error["count"]) == (kind, 2)
    assert len(error["detail"]) < 200
    if kind == "HTTP status":
        assert error["detail"] == "503: late"


def test_ipv6_is_loaded_too() -> None:
    """Also by a server that closes after each response."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with answering(answer, socket.AF_INET6) as address:
        said = load("bench", f"http://{address}/", "-m", "sequential", "-c", "3", "-n", "2")
    assert said["total"]["answered"] == 6


def test_a_unix_socket_of_gunicorn_is_loaded(tmp_path: Path) -> None:
    """By WebSocket as well."""
    path = tmp_path / "app.sock"
    with gunicorn(
        tmp_path, "-c", "python:hangup.gunicorn", "--threads", "4", "-b", f"unix:{path}", app=APP
    ) as server:
        assert wait_until(path.exists, 20), server.log
        said = load("bench", f"ws://unix:{path}:/echo", "-m", "concurrent", "-c", "4", "-n", "3")
    assert said["total"]["answered"] == 12


@pytest.mark.parametrize("command", ["bench", "storm"])
def test_control_c_ends_it_within_a_second_with_the_report_so_far(server: Gunicorn, command: str) -> None:
    """Which says that it was interrupted."""
    more = ("-m", "echo") if command == "bench" else ("--before", "0")
    line = [*HANGUP, command, f"ws://127.0.0.1:{server.port}/echo", "-s", "60", "-f", "json", *more]
    before = server.ask()["connects"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert wait_until(lambda: server.ask()["connects"] >= before + 10, 20)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert complained == ""
    report = json.loads(said)
    assert report["interrupted"]
    assert report["total"]["connected"] > 0 if command == "bench" else report["kinds"]["rst"]["attempted"] > 0


def test_a_server_that_dies_is_a_result(tmp_path: Path) -> None:
    """Its clients were closed or refused, and the bench ends in its time."""
    with serve(tmp_path) as server:
        line = [
            *HANGUP,
            "bench",
            f"ws://127.0.0.1:{server.port}/echo",
            "-m",
            "echo",
            "-s",
            "3",
            "-c",
            "20",
            "-f",
            "json",
        ]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        worker = server.ask()["pid"]
        assert wait_until(lambda: server.ask()["here"] == 20, 20)
        server.process.kill()  # the master first: it would start another worker
        server.process.wait()
        os.kill(worker, signal.SIGKILL)
        said = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 1
    assert said["total"]["answered"] > 0
    assert sum(error["count"] for error in said["total"]["errors"]) == 20, said["total"]["errors"]


def test_the_bar_is_on_a_terminal_only(server: Gunicorn) -> None:
    """On standard error; standard output is the report."""
    line = ["bench", f"ws://127.0.0.1:{server.port}/echo", "-m", "echo", "-s", "0.8", "-c", "3", "-f", "json"]
    assert run(*line).stderr == ""
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        process = subprocess.Popen([*HANGUP, *line], stdout=subprocess.PIPE, stderr=theirs, env=environment)
        os.close(theirs)
        said, _ = process.communicate(timeout=30)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody writes any more
            while more := os.read(ours, 65_536):
                shown += more
    finally:
        os.close(ours)
    assert json.loads(said)["passed"]
    assert b"3 open" in shown


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_picture_is_drawn(server: Gunicorn, tmp_path: Path, ending: str) -> None:
    """In the format of its name."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"bench.{ending}"
    url = f"ws://127.0.0.1:{server.port}/echo"
    load("bench", url, "-m", "echo", "-s", "0.5", "-c", "3", "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_a_reader_that_goes_early_is_no_traceback(server: Gunicorn) -> None:
    """As with ``| head -1``."""
    line = [*HANGUP, "bench", f"ws://127.0.0.1:{server.port}/echo", "-m", "sequential", "-c", "2"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    complained = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert "Traceback" not in complained


def hold(directory: Path, clients: int, seconds: str) -> None:
    """Holds plain WebSockets on one native gthread worker with eight threads; each sends a message meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < clients + 1000:
        pytest.skip(f"the descriptor limit is {hard}")
    connections = ("--worker-connections", str(clients + 1000))
    with contextlib.ExitStack() as limits:
        limits.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
        server = limits.enter_context(serve(directory, *connections))
        begin = server.ask()
        url = f"ws://127.0.0.1:{server.port}/echo"
        more = ("--steps", str(clients), "-s", seconds, "--interval", seconds, "--patience", "30")
        said = load("bench", url, "-m", "ramp", *more, "--require", "success>=100%", seconds=100)
        counted = since(begin, rested(server, 60))
    total = said["total"]
    assert (total["succeeded"], total["connected"], total["failed"]) == (clients, clients, 0)
    assert said["timeline"]["most_open"] == clients
    assert (counted["connects"], counted["closes"]) == (clients, clients)
    assert counted["received"] == total["sent"] >= clients
    assert said["timeline"]["memory_per_client_bytes"] < 64_000


def test_hundreds_of_clients_are_held(tmp_path: Path) -> None:
    """Three hundred."""
    hold(tmp_path, SAMPLE, "1")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_clients_are_held(tmp_path: Path) -> None:
    """And answered, and gone afterwards."""
    hold(tmp_path, CROWD, "5")
