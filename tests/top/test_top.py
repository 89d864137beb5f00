"""What ``hangup top``, ``describe`` and ``fds`` show, against what the clients know."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import CODE, hangup
from control_service import STACKS, Service, serve
from hangup._control.connections import address as written
from hangup._demo.server import wait_until
from hangup._procfs import is_gunicorn
from hangup._top import processes, sockets
from hangup._top.columns import duration, ordered, size
from hangup._top.reading import Watcher
from raw_websocket import begin_session

GIBBERISH = "\x1b[31mred\r\n\u202e"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers, with clients that stay."""
    with serve(tmp_path_factory.mktemp("service"), STACKS[0], workers=2) as service:
        assert wait_until(lambda: len(service.workers()) == 2, 20)
        for transport, room in (("polling", "blue"), ("websocket", "red"), ("websocket", GIBBERISH)):
            service.client(transport, room)
        yield service


@pytest.fixture
def master(service: Service) -> int:
    return service.gunicorn.process.pid


def test_its_figures_are_what_the_clients_know(service: Service, master: int) -> None:
    """How many, over which transport, in which rooms; JSON, one document for each look."""
    done = hangup("top", "--pid", master, "--times", 2, "--interval", 0.2, "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["rates"] == {}
    assert set(second["rates"]) == {"messages_in", "frames_out", "bytes_in", "bytes_out", "accepted"}
    totals = second["totals"]
    assert (totals["workers"], totals["websockets"], totals["polling"], totals["zombies"]) == (2, 2, 1, 0)
    clients = {row["sids"]["/"]: row for row in second["connections"] if row["sid"]}
    assert {one.get_sid() for one in service.clients} == set(clients)
    for one, room in zip(service.clients, ("blue", "red", GIBBERISH)):
        assert clients[one.get_sid()]["rooms"] == [["/", room]]
        assert clients[one.get_sid()]["transport"] == one.transport()
    assert second["counted"]["websockets_open"] == 2
    assert all(worker["view"] == "told" for worker in second["workers"])
    (pid, _) = service.workers()
    assert wait_until(lambda: processes.look_at(pid).open == len(os.listdir(f"/proc/{pid}/fd")), 10)


def test_bytes_are_counted_by_the_second(service: Service, master: int) -> None:
    """Of each connection, and of all."""
    watcher = Watcher(master)
    watcher.look()
    with begin_session(service.port):
        watcher.look()
        reading = watcher.look()
        assert all(row["rate_in"] is not None for row in reading.connections)
        assert max(row["rate_in"] for row in reading.connections) == 0
        service.clients[1].emit("nothing", "x" * 1000)

        def has_arrived() -> bool:
            return any(
                row["rate_in"] for row in watcher.look().connections if row["transport"] == "websocket"
            )

        assert wait_until(has_arrived, 10)


def test_as_lines_nothing_in_them_moves_a_terminals_cursor(service: Service, master: int) -> None:
    """A room may have any name."""
    done = hangup("top", "--pid", master, "--times", 1, "--sort", "age", "--filter", "websocket")
    assert (done.returncode, done.stderr) == (0, "")
    assert "websockets 2  polling 1" in done.stdout
    assert done.stdout.count(" websocket ") == 2
    assert "\\x1b[31mred\\r\\n\\u202e" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_it_goes_on_until_it_is_stopped_and_its_reader_may_leave(master: int) -> None:
    """Like any command in a pipe; Ctrl-C is no failure."""
    line = [sys.executable, "-c", CODE, "top", "--pid", str(master), "--interval", "0.1", "-f", "json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as left:
        assert json.loads(left.stdout.readline())
        left.stdout.close()
        left.wait(20)
        assert "Traceback" not in left.stderr.read()
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stopped:
        assert stopped.stdout.readline()
        stopped.send_signal(signal.SIGINT)
        _, errors = stopped.communicate(timeout=20)
        assert (stopped.returncode, errors) == (0, "")


def test_a_stock_gunicorn_is_seen_from_outside(tmp_path: Path) -> None:
    """Its sockets by state, as the kernel has them; it is asked for nothing."""
    with serve_stock(tmp_path) as stock:
        with begin_session(stock.port) as client:
            (worker,) = processes.workers_of(stock.gunicorn.process.pid)
            done = hangup("top", "--pid", stock.gunicorn.process.pid, "--times", 1, "-f", "json")
            seen = json.loads(done.stdout)
            address = written(client.getsockname())
            (row,) = [row for row in seen["connections"] if row["peer"] == address]
            assert (row["worker"], row["state"], row["kind"]) == (worker, "established", "tcp")
            assert row["rtt"] > 0
            assert row["received"] > 100
            assert seen["workers"][0]["view"] == "kernel"
            assert "no control socket" in seen["workers"][0]["why"]
            assert seen["workers"][0]["listening"] == 1
        assert hangup("top", "--pid", stock.gunicorn.process.pid, "--times", 1).returncode == 0


@contextlib.contextmanager
def serve_stock(directory: Path) -> Iterator[Service]:
    service = Service(directory, ("21.2.0", "gthread", "threading"), HANGUP="off")
    try:
        yield service
    finally:
        service.end()


def test_any_process_is_shown() -> None:
    """This one, which is nobody's worker."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        done = hangup("top", "--pid", os.getpid(), "--times", 1, "-f", "json")
        (worker,) = json.loads(done.stdout)["workers"]
        assert worker["listening"] == 1
        ports = [row["peer"] for row in json.loads(done.stdout)["connections"]]
        assert written(server.getsockname()) in ports
        said = hangup("fds", os.getpid())
        assert f"{server.fileno():>6}  tcp listen 127.0.0.1:" in said.stdout
        assert json.loads(hangup("fds", os.getpid(), "-f", "json").stdout)["kinds"]["tcp listen"] == 1


def test_the_kernels_sockets_are_those_of_this_process() -> None:
    """Both families, with what waits in them."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        client = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
        accepted = stack.enter_context(server.accept()[0])
        client.sendall(b"x" * 1000)

        def found() -> dict[int, sockets.Tcp]:
            return {one.fd: one for one in sockets.of(os.getpid())}

        assert wait_until(lambda: found()[accepted.fileno()].unread == 1000, 5)
        assert found()[server.fileno()].state == "listen"
        assert found()[client.fileno()].remote == written(server.getsockname())


def test_who_may_not_look_is_told(master: int) -> None:
    """Another user sees the process, not its clients."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    code = (
        "import os, sys\n"
        "from hangup._top import descriptors, table\n"
        "from hangup._top.reading import Watcher\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(*table.lines(Watcher(int(sys.argv[1])).look(), 'age'), sep='\\n')\n"
    )
    line = [sys.executable, "-c", code, str(master)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "only root and the worker's own user are answered; Permission denied" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("top", "--pid", 2**22 + 1), "there is no process"),
        (("top", "--sort", "colour"), "none of worker, sid"),
        (("top", "--interval", "0"), "--interval"),
        (("describe", "worker", 2**22 + 1), "there is no process"),
        (("fds", 2**22 + 1), "there is no process"),
        (("close",), "which connections"),
        (("close", "x", "--code", "1005"), "no close code"),
        (("close", "--pid", 2**22 + 1, "x"), "there is no process"),
        (("drain", "--code", "99"), "no close code"),
        (("drain", "--pid", 2**22 + 1), "there is no process"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[object, ...], complaint: str) -> None:
    """With the reason, and nothing else."""
    done = hangup(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_a_gunicorn_is_found_and_several_are_named(service: Service, master: int) -> None:
    """Where there is one, it is meant."""
    assert master in processes.masters()
    assert processes.master_of(service.pid) == master
    assert processes.workers_of(master) == sorted(service.workers(), key=lambda pid: pid)
    done = hangup("top", "--times", 1)
    if done.returncode:  # somebody else's run here
        assert "several gunicorns run here" in done.stderr
        assert f"  {master}  " in done.stderr
    else:
        assert f"pid {master}" in done.stdout


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["gunicorn: master [app:app]"], True),
        (["/venv/bin/gunicorn", "app:app"], True),
        (["/venv/bin/python3.11", "/venv/bin/gunicorn", "app:app"], True),
        (["python", "-u", "-m", "gunicorn", "app:app"], True),
        (["vim", "gunicorn"], False),
        (["python", "manage.py", "gunicorn"], False),
        (["python", "-m", "hangup._ops_server", "gunicorn"], False),
        (["bash", "-c", "gunicorn app:app"], False),
        ([], False),
    ],
)
def test_what_is_taken_for_gunicorn(command: list[str], expected: bool) -> None:
    """By its command line, which setproctitle may have changed."""
    assert is_gunicorn(command) is expected


def test_a_client_is_described_by_each_of_its_names(service: Service, master: int) -> None:
    """In lines, or as JSON; one that is not there is status 1."""
    one = service.clients[1]
    for name in (one.get_sid(), one.eio.sid):
        done = hangup("describe", "conn", name, "--pid", master)
        assert done.returncode == 0, done.stderr
        assert f"Socket.IO   {one.get_sid()} in namespace /, rooms: red" in done.stdout
    row = json.loads(hangup("describe", "conn", one.get_sid(), "--pid", master, "-f", "json").stdout)
    said = hangup("describe", "conn", row["fd"], "--pid", row["worker"])
    assert one.get_sid() in said.stdout
    assert hangup("describe", "conn", row["fd"], "--pid", master).returncode == 1
    assert hangup("describe", "conn", "nobody", "--pid", master).returncode == 1


def test_a_worker_is_described(service: Service, master: int) -> None:
    """A master is not one."""
    done = hangup("describe", "worker", service.pid)
    assert done.returncode == 0
    assert f"worker {service.pid} of gunicorn {master}" in done.stdout
    assert "1 tcp listen" in done.stdout
    assert hangup("describe", "worker", master).returncode == 2


def test_on_a_terminal_it_is_a_screen_that_q_leaves(master: int) -> None:
    """A real one, of a pseudo-terminal."""
    pytest.importorskip("textual")
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    line = [sys.executable, "-c", CODE, "top", "--pid", str(master), "--interval", "0.2"]
    with subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        seen, end, asked = b"", time.monotonic() + 60, False
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):  # EIO: it has closed its side
                    seen += os.read(ours, 65_536)
            if b"websockets" in seen and not asked:
                asked = True
                os.write(ours, b"q")
        os.close(ours)
        assert process.wait(10) == 0, seen[-2000:]
    assert b"TRANSPORT" in seen


def test_what_is_not_known_is_sorted_last() -> None:
    """The largest figures first, texts in their order."""
    rows = [{"age": 1, "peer": "b"}, {"age": None, "peer": None}, {"age": 3, "peer": "a"}]
    assert [row["age"] for row in ordered(rows, "age")] == [3, 1, None]
    assert [row["age"] for row in ordered(rows, "age", True)] == [1, 3, None]
    assert [row["peer"] for row in ordered(rows, "peer")] == ["a", "b", None]


def test_figures_are_short() -> None:
    """Six characters at most."""
    assert [size(count) for count in (None, 0, 512, 4200, 12 << 20, 5 << 40)] == [
        "-", "0", "512", "4.1K", "12M", "5120G",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (None, 0.31, 42, 725, 11_045, 442_800, float("inf"))] == [
        "-", "0.3s", "42s", "12:05", "3h04", "5d03h", "-",
    ]  # fmt: skip
