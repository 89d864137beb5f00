"""What a worker says at its control socket, and to whom."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_service import EVENTLET, STACKS, SYNC, Service, answers, serve
from e2e_uvicorn import uvicorn
from hangup._control import Failed, NobodyAnswers, Refused, Silent, ask, client
from hangup._control.server import Server
from hangup._demo.server import wait_until
from raw_websocket import REQUEST, begin_session, close_code, frame, until


@pytest.fixture(scope="module", params=[STACKS[0], STACKS[3]], ids="-".join)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One of each hub's kind."""
    with serve(tmp_path_factory.mktemp("service"), request.param) as service:
        yield service
        assert "Traceback" not in service.gunicorn.log


def of_clients(service: Service) -> list[dict[str, object]]:
    return [row for row in service.ask("snapshot")["connections"] if row["sid"]]


def control_socket(service: Service) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    (name,) = client._names(service.pid)
    sock.connect("\0" + name)
    return sock


def check_what_clients_know(service: Service) -> None:
    """Their number, transports, sids and rooms."""
    clients = [
        service.client("polling", "blue"),
        service.client("websocket", "red"),
        service.client("websocket"),
    ]
    expected = {
        (one.get_sid(), transport, room)
        for one, transport, room in zip(clients, ("polling", "websocket", "websocket"), ("blue", "red", None))
    }
    rows = of_clients(service)
    assert {
        (row["sids"]["/"], row["transport"], (row["rooms"] or [[0, None]])[0][1]) for row in rows
    } == expected
    assert {row["sid"] for row in rows} == {one.eio.sid for one in clients}
    assert service.ask("status")["websockets"] == 2
    for one in clients:
        one.disconnect()
    assert wait_until(lambda: not of_clients(service), 20)


def test_it_says_of_its_clients_what_they_know(shared: Service) -> None:
    """Threads and a hub."""
    check_what_clients_know(shared)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [STACKS[1], STACKS[2], EVENTLET], ids="-".join)
def test_others_say_the_same(tmp_path: Path, stack: tuple[str, str, str]) -> None:
    """The other versions and hubs."""
    with serve(tmp_path, stack) as service:
        check_what_clients_know(service)
        check_that_a_close_ends_one(service)


def check_that_a_close_ends_one(service: Service) -> None:
    with begin_session(service.port) as one, begin_session(service.port) as other:
        named, spared = sorted(of_clients(service), key=lambda row: row["number"])
        done = service.ask("close", sids=[named["sids"]["/"], "nobody's"], code=4001, reason="sorry")
        assert [(row["number"], row["how"]) for row in done["closed"]] == [
            (named["number"], "close frame 4001")
        ]
        assert done["missing"] == [{"sid": "nobody's"}]
        assert close_code(one) == 4001
        assert wait_until(lambda: [row["number"] for row in of_clients(service)] == [spared["number"]], 10)
        assert not spared["closing"]
        assert service.ask("close", fds=[spared["fd"]])["closed"]
        assert close_code(other) == 1000
    assert wait_until(lambda: not of_clients(service), 20)


def test_a_close_ends_the_client_that_was_named_and_no_other(shared: Service) -> None:
    """With the code that was asked for, by each of its names."""
    check_that_a_close_ends_one(shared)


def test_a_session_that_polls_is_ended_where_its_handlers_run(shared: Service) -> None:
    """Its disconnect handler too; a client that has a request open sees it end."""
    one = shared.client("polling")
    sid = one.get_sid()
    assert [row["how"] for row in shared.ask("close", sids=[sid])["closed"]] == ["session ended"]
    assert wait_until(lambda: sid in shared.get()["left"], 20)
    assert wait_until(lambda: not one.connected, 40)


def test_those_that_are_silent_are_closed_and_those_that_are_not_stay(shared: Service) -> None:
    """By what the kernel heard of them last."""
    with begin_session(shared.port) as silent, begin_session(shared.port) as talks:
        while max(row["silent"] for row in of_clients(shared)) < 0.4:
            talks.sendall(frame(b'42["nothing"]'))
        closed = shared.ask("close", silent_for=0.4, code=1001)["closed"]
        assert len([row for row in closed if row["sid"]]) == 1
        assert close_code(silent) == 1001
        assert wait_until(lambda: len(of_clients(shared)) == 1, 10)
        shared.ask("close", sids=[row["sid"] for row in of_clients(shared)])
        close_code(talks)


def test_a_kept_connection_without_a_request_is_closed_by_its_number(shared: Service) -> None:
    """It has no close frame: it is shut down, and its server closes it."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(kept, b"}")
        (port,) = {kept.getsockname()[1]}
        (row,) = [row for row in shared.ask("snapshot")["connections"] if row["peer"] == f"127.0.0.1:{port}"]
        assert (row["kind"], row["state"]) == ("http", "established")
        assert shared.ask("close", numbers=[row["number"]])["closed"][0]["how"] == "shut down"
        assert kept.recv(1) == b""
        gone = [{"number": row["number"]}]
        assert wait_until(lambda: shared.ask("close", numbers=[row["number"]])["missing"] == gone, 10)


def test_asking_leaves_no_descriptor(shared: Service) -> None:
    """Nor do those that go in the middle."""
    before = shared.get()["fds"]
    for _ in range(50):
        shared.ask("snapshot")
    assert shared.get()["fds"] == before


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"of which 65536 are allowed"),
        (struct.pack("!I", 1 << 31), b"of which 65536 are allowed"),
        (struct.pack("!I", 4) + b"{..}", b"not JSON"),
        (struct.pack("!I", 2) + b"[]", b"not an object"),
        (struct.pack("!I", 60_000) + b"[" * 60_000, b"not JSON"),
        (struct.pack("!I", 2) + b"{}", b"no such verb: None"),
        (struct.pack("!I", 11) + b'{"verb":[]}', b"no such verb: []"),
    ],
)
def test_a_message_that_means_nothing_is_answered_with_what_is_wrong(
    shared: Service, message: bytes, complaint: bytes
) -> None:
    """And harms nobody."""
    with control_socket(shared) as sock:
        sock.sendall(message)
        sock.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionResetError):  # what was left unread
            while more := sock.recv(65_536):
                said += more
        assert complaint in said
    assert shared.ask("status")["pid"] == shared.pid


def test_whoever_says_half_of_something_is_left_after_a_second(shared: Service) -> None:
    """Others wait no longer than that."""
    with control_socket(shared) as half:
        half.sendall(b"\0\0\0\x10{")
        began = time.monotonic()
        assert shared.ask("status")["pid"] == shared.pid
        assert time.monotonic() - began < 8
        assert half.recv(1000) == b""


@pytest.mark.parametrize(
    ("verb", "arguments", "complaint"),
    [
        ("explode", {}, "there are status, snapshot, close, drain"),
        ("close", {}, "which connections"),
        ("close", {"sids": "text"}, "a list of texts"),
        ("close", {"numbers": [True]}, "whole numbers"),
        ("close", {"silent_for": -1}, "seconds"),
        ("close", {"silent_for": "1"}, "seconds"),
        ("close", {"sids": ["x"], "code": 1005}, "no close code"),
        ("close", {"sids": ["x"], "reason": "x" * 124}, "at most 123 octets"),
        ("close", {"everybody": True}, "unexpected"),
        ("snapshot", {"more": 1}, "unexpected"),
        ("drain", {"within": "soon"}, "seconds"),
        ("drain", {"within": -1}, "seconds"),
    ],
)
def test_a_wrong_argument_is_named(
    shared: Service, verb: str, arguments: dict[str, object], complaint: str
) -> None:
    """Nothing was done then."""
    with pytest.raises(Failed, match=complaint):
        shared.ask(verb, **arguments)


def test_it_answers_while_the_worker_is_busy_in_python(shared: Service) -> None:
    """Also in a hub, whose greenlets all wait."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as busy:
        busy.sendall(b"GET /busy/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        before = ticks(shared.pid)
        assert wait_until(lambda: ticks(shared.pid) > before + 3, 20)
        assert shared.ask("snapshot")["pid"] == shared.pid
        busy.setblocking(False)
        with pytest.raises(BlockingIOError):  # it was still busy
            busy.recv(1)
        busy.settimeout(20)
        until(busy, b"}")


def ticks(pid: int) -> int:
    """What a process had of a processor so far."""
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def test_it_is_silent_while_native_code_keeps_the_lock(shared: Service) -> None:
    """Which is told from a worker that is not there."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as busy:
        busy.sendall(b"GET /locked/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        def is_silent() -> bool:
            try:
                ask(shared.pid, "status", timeout=0.3)
            except Silent:
                return True
            return False

        assert wait_until(is_silent, 10)
        until(busy, b"}")
    assert shared.ask("status")["pid"] == shared.pid


def test_another_user_is_refused(shared: Service) -> None:
    """Whatever is asked; the kernel says who asks."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    code = (
        "import os, sys\n"
        "from hangup._control import ask, Refused\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: print(ask(int(sys.argv[1]), 'status'))\n"
        "except Refused as refused: print('refused:', refused)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(shared.pid)], capture_output=True, text=True, timeout=30, check=False
    )
    assert said.stdout == "refused: only root and the worker's own user are answered\n", said.stderr


def test_a_worker_that_was_killed_leaves_nothing_and_the_next_one_answers(tmp_path: Path) -> None:
    """Under a sync worker, and one that is loaded before its fork."""
    with serve(tmp_path, SYNC, GUNICORN_CMD_ARGS="--preload") as service:
        os.kill(service.pid, signal.SIGKILL)
        assert wait_until(lambda: bool(service.workers()) and service.pid not in service.workers(), 20)
        assert list(client._names(service.pid)) == []
        with pytest.raises(NobodyAnswers):
            service.ask("status")
        (successor,) = service.workers()
        os.kill(service.gunicorn.process.pid, signal.SIGHUP)
        assert wait_until(lambda: successor not in (now := service.workers()) and len(now) == 1, 20)


def test_observe_answers_and_changes_nothing(tmp_path: Path) -> None:
    """The connections are stock gunicorn's: there is nothing to say of them."""
    with serve(tmp_path, STACKS[0], HANGUP="observe") as service:
        assert service.ask("snapshot")["mode"] == "observe"
        for verb, arguments in (("close", {"sids": ["x"]}), ("drain", {})):
            with pytest.raises(Refused, match="HANGUP=observe"):
                service.ask(verb, **arguments)


def test_nobody_answers_where_hangup_is_off_or_not_there() -> None:
    """This process, and none."""
    with pytest.raises(NobodyAnswers, match="no control socket"):
        ask(os.getpid(), "status")
    with pytest.raises(NobodyAnswers, match="there is no process"):
        ask(2**22 + 1, "status")


def test_a_forked_child_is_not_asked_and_keeps_nothing_open() -> None:
    """The parent goes on answering, and its name is gone with it."""
    code = (
        "import os, sys\n"
        "from hangup._control import server\n"
        "from hangup.testing import fd_census\n"
        "before = len(fd_census())\n"
        "assert server.start() == '' and server.start() == ''\n"
        "assert len(fd_census()) == before + 2\n"
        "if child := os.fork():\n"
        "    sys.stdin.readline(); os.kill(child, 9); os.waitpid(child, 0)\n"
        "else:\n"
        "    print(len(fd_census()) - before, os.getpid(), flush=True); sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        left, child = map(int, process.stdout.readline().split())
        assert left == 0
        assert answers(process.pid)
        assert not answers(child)
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(20) == 0
    assert list(client._names(process.pid)) == []


def test_whoever_takes_the_name_of_a_worker_is_not_asked(shared: Service) -> None:
    """The kernel says who listens: only the worker is."""
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(f"\0hangup/control/{shared.pid}/0000")
        impostor.listen()
        assert shared.ask("status")["pid"] == shared.pid


def test_a_worker_without_descriptors_answers_nevertheless(tmp_path: Path) -> None:
    """One is kept for that."""
    code = (
        "import os, resource, sys\n"
        "from hangup._control import server\n"
        "assert server.start() == ''\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "kept = []\n"
        "while True:\n"
        "    try: kept.append(os.dup(0))\n"
        "    except OSError: break\n"
        "print(len(kept), flush=True); sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert int(process.stdout.readline()) > 10
        for _ in range(3):
            assert ask(process.pid, "snapshot")["pid"] == process.pid
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_uvicorn_answers_from_its_first_native_websocket_on(tmp_path: Path) -> None:
    """It has no gunicorn, so it cannot be drained; its WebSockets are closed like others."""
    with uvicorn(tmp_path) as server:
        pid = server.ask()["pid"]
        assert not answers(pid)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
            peer.sendall(REQUEST.replace(b"/socket.io/", b"/echo"))
            until(peer, b"\r\n\r\n")
            assert wait_until(lambda: answers(pid), 10)
            (row,) = [row for row in ask(pid, "snapshot")["connections"] if row["kind"] == "websocket"]
            assert ask(pid, "close", numbers=[row["number"]], code=4005)["closed"]
            assert close_code(peer) == 4005
        with pytest.raises(Failed, match="nobody would take its place"):
            ask(pid, "drain")


def test_a_worker_that_ends_does_not_wait_for_its_thread_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has ended by itself when its listener is closed, instead of when time is up."""
    before = set(os.listdir("/proc/self/task"))
    server = Server(None)
    (thread,) = set(os.listdir("/proc/self/task")) - before
    assert wait_until(lambda: "poll" in Path(f"/proc/self/task/{thread}/wchan").read_text(), 10)
    had_ended: list[bool] = []
    close = server.forget
    monkeypatch.setattr(server, "forget", lambda: (had_ended.append(server._ended.wait(0)), close()))
    server.stop()
    assert had_ended == [True]
