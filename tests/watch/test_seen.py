"""What a look sees: probes, logs, dependencies, the state that is remembered, and what is printed of it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hangup._watch import logs, outside, processes, report, silence, sockets
from hangup._watch.core import Decision
from hangup._watch.probes import Where, http, websocket, where
from hangup._watch.state import State, Taken, boot


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Listens; what it answers, its test says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def answering(
    server: socket.socket, answer: bytes, *, pause: float = 0.0, closes: bool = True
) -> threading.Thread:
    """One client gets this, perhaps a byte at a time."""

    def run() -> None:
        client, _ = server.accept()
        with client:
            client.recv(4096)
            for start in range(len(answer)) if pause else (slice(None),):
                piece = answer[start : start + 1] if isinstance(start, int) else answer[start]
                try:
                    client.sendall(piece)
                except OSError:
                    return
                time.sleep(pause)
            if not closes:
                client.settimeout(10)
                while client.recv(100):
                    pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ok"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "ok"),
        (b"HTTP/1.1 503 x\r\n\r\n", "failing"),
        (b"", "unanswered"),
        (b"\x15\x03\x01\x00\x02\x02", "unanswered"),
        (b"SSH-2.0-OpenSSH\r\n", "unanswered"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "ok"),
    ],
)
def test_what_a_service_answers_is_judged(server: socket.socket, answer: bytes, outcome: str) -> None:
    thread = answering(server, answer)
    assert http(Where(server.getsockname()), 5.0).outcome == outcome
    thread.join(5)


def test_an_answer_that_drips_does_not_hold_the_watch(server: socket.socket) -> None:
    thread = answering(server, b"HTTP/1.1 200 OK\r\n" + b"x" * 1000, pause=0.05)
    began = time.monotonic()
    assert http(Where(server.getsockname()), 0.5).outcome == "unanswered"
    assert time.monotonic() - began < 5
    thread.join(5)


def test_nobody_at_an_address_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = closed.getsockname()
    assert http(Where(address), 1.0).outcome == "unanswered"
    assert http(Where(str(tmp_path / "none.sock")), 1.0).outcome == "unanswered"
    assert http(Where(str(tmp_path / ("x" * 200))), 1.0).outcome == "unanswered"


def test_an_upgrade_that_is_refused_or_forged_is_a_failure(server: socket.socket) -> None:
    for answer in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: no\r\n\r\n",
    ):
        thread = answering(server, answer)
        assert websocket(Where(server.getsockname()), 5.0).outcome == "failing"
        thread.join(5)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8000/healthz?x=1", Where(("127.0.0.1", 8000), "/healthz?x=1", "127.0.0.1:8000")),
        ("https://example.org", Where(("example.org", 443), "/", "example.org", True)),
        ("http://[::1]:80/", Where(("::1", 80), "/", "[::1]:80")),
        ("http+unix://%2Frun%2Fapp.sock/x", Where("/run/app.sock", "/x", "localhost")),
    ],
)
def test_urls_say_what_to_ask(url: str, place: Where) -> None:
    assert where(url) == place


def test_a_log_is_read_from_where_it_was_also_when_it_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = logs.Tail(str(path))
    assert tail.new() == b""
    with path.open("a") as file:
        file.write("one\n")
    assert tail.new() == b"one\n"
    path.rename(tmp_path / "log.1")
    path.write_text("two\n")
    assert tail.new() == b"two\n"
    path.write_text("")
    assert tail.new() == b""
    path.unlink()
    assert tail.new() == b""
    os.mkfifo(path)
    assert tail.new() == b""


def test_a_log_says_how_much_goes_wrong_and_whose_it_is() -> None:
    said = logs.judge(
        b"Traceback (most recent call last):\n  File x\nredis.exceptions.ConnectionError: Error 111 \xff refused\n"
        b"Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
        b"[2026-11-22 07:50:22 +0000] [7] [INFO] no error\n"
    )
    assert said.errors.number == 2
    assert set(said.outside) == {"disk", "dependency"}
    assert logs.judge(b"ConnectionError: a client has left\n").outside == {}


def test_a_dependency_that_was_guessed_counts_only_if_it_was_there_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as redis:
        port = redis.getsockname()[1]
        environment = {
            "REDIS_URL": f"redis://:secret@127.0.0.1:{port}/0",
            "HOME_URL": "http://x",
            "A_URL": "redis://[",
        }
        needs = outside.needs_of((), environment)
        assert [need.name for need in needs] == [f"redis://127.0.0.1:{port}"]
        met, unmet = outside.Dependencies(needs), outside.Dependencies(needs)
        assert met.faults(False) == ()
    assert [fault.kind for fault in met.faults(True)] == ["dependency"]
    assert "secret" not in met.faults(True)[0].text
    assert met.faults(False) == ()
    assert unmet.faults(True) == ()
    certain = outside.Dependencies(outside.needs_of((f"127.0.0.1:{port}",), {}))
    assert certain.faults(True)


def test_the_holder_of_a_port_is_named(server: socket.socket) -> None:
    port = server.getsockname()[1]
    (fault,) = outside.taken_ports([port], set())
    assert f"process {os.getpid()}" in fault.text
    assert outside.taken_ports([port], {os.getpid()}) == ()


def test_the_kernel_knows_since_when_a_client_is_silent(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            inode = os.fstat(accepted.fileno()).st_ino
            time.sleep(0.3)
            assert 0.2 < silence.silences([server.getsockname()[1]])[inode] < 30
            client.sendall(b"x")
            accepted.recv(1)
            assert silence.silences([server.getsockname()[1]])[inode] < 0.2


def test_listeners_of_a_process_are_found_in_both_families() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("127.0.0.1", 0)) as four,
    ):
        found = {one.address for one in sockets.listeners_of(os.getpid(), processes.descriptors(os.getpid()))}
        assert {six.getsockname()[:2], four.getsockname()} <= found


def test_a_state_is_remembered_in_the_same_boot_only(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "state.json")
    first = State(path)
    first.restarts, first.attempts, first.masters = [1.0, 2.0], 2, {5: 6}
    first.save()
    with pytest.raises(Taken):
        State(path)
    first.close()
    second = State(path)
    assert (second.restarts, second.attempts, second.masters, second.problem) == ([1.0, 2.0], 2, {5: 6}, "")
    second.close()
    told = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**told, "boot": "another"}))
    third = State(path)
    assert third.restarts == []
    third.close()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"boot": 1}', "\x00", "null", "NaN", '{"boot": "BOOT"}'])
def test_a_state_that_is_broken_is_begun_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text.replace("BOOT", boot()))
    state = State(str(path))
    assert state.restarts == []
    state.save()
    state.close()
    assert json.loads(path.read_text())["restarts"] == []


def test_a_state_that_cannot_be_kept_is_told() -> None:
    state = State("/proc/nowhere/state.json")
    assert state.problem
    state.save()
    state.close()


def test_what_is_printed_of_foreign_text_cannot_drive_a_terminal() -> None:
    decision = Decision(0.0, "hold", ("failing",), ("log says: \x1b[2J\x9b31m\u202e\n",))
    line = report.line(report.event(decision, None))
    assert line.isprintable(), line


def test_processes_that_end_while_they_are_looked_at_are_nothing() -> None:
    assert processes.process(4194304) is None
    assert processes.descriptors(4194304) == {}
    assert processes.children(4194304) == []
    assert processes.environment(4194304) == {}
    assert processes.heartbeat(4194304, {3: "/tmp/wgunicorn-x (deleted)"}) is None
