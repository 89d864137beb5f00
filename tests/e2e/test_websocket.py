"""Native WebSockets of a real python-socketio service under a real gunicorn, with real clients."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until
from hangup.testing import reset
from socketio_app import APP

socketio = pytest.importorskip("socketio")
websocket = pytest.importorskip("websocket")

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / ".socketio" / "5.10.0"

#: gunicorn, worker, Socket.IO's model, what it needs, an old python-socketio instead of the installed one.
STACKS = [
    ("27.0.1", "gthread", "threading", "", False),
    ("27.0.1", "gthread", "threading", "", True),
    ("21.2.0", "gthread", "threading", "", True),
    ("27.0.1", "sync", "threading", "", False),
    ("27.0.1", "gevent", "gevent", "gevent", False),
    ("21.2.0", "gevent", "gevent", "gevent", True),
    ("25.3.0", "eventlet", "eventlet", "eventlet", False),
    ("21.2.0", "eventlet", "eventlet", "eventlet", False),
]
CLIENTS: list[Any] = []  # of the test that runs
IDS = [f"{worker}-{version}{'-old' if old else ''}" for version, worker, _, _, old in STACKS]


@contextlib.contextmanager
def serve(
    directory: Path, stack: tuple[str, str, str, str, bool], *args: str, app: str = APP, **env: str
) -> Iterator[Gunicorn]:
    """A gunicorn with one guarded worker of the stack, which answers; ends the clients of the test with it."""
    version, worker, mode, needs, old = stack
    if needs:
        pytest.importorskip(needs)
    if old:
        if not (OLD / "ready").exists():
            pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
        for package in ("socketio", "engineio"):
            (directory / package).symlink_to(OLD / package)
    threads = ["--threads", "4"] if worker == "gthread" else []
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, *args]
    with gunicorn(directory, *chosen, app=app, version=version, MODE=mode, **env) as server:
        server.ask()
        try:
            yield server
        finally:
            while CLIENTS:
                client = CLIENTS.pop()
                if client.sock is not None:
                    client.sock.close()


def open_websocket(server: Gunicorn) -> Any:
    """A WebSocket whose Socket.IO session is connected."""
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    client = websocket.create_connection(url, timeout=20)
    CLIENTS.append(client)
    assert client.recv().startswith("0{")
    client.send("40")
    assert client.recv().startswith("40{")
    return client


def connected(server: Gunicorn) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def settled(server: Gunicorn, before: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the service says of itself once it is back where it was, or when time is up."""
    last: dict[str, Any] = {}

    def is_settled() -> bool:
        last.update(server.ask())
        return bool(
            last["connected"] == last["disconnected"]
            and not last["sessions"]
            and last["fds"] <= before["fds"]
        )

    wait_until(is_settled, seconds)
    return last


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]], ids="+".join)
@pytest.mark.parametrize("stack", STACKS, ids=IDS)
def test_the_service_works_as_before(
    tmp_path: Path, stack: tuple[str, str, str, str, bool], transports: list[str]
) -> None:
    """Events, acknowledgements both ways, binary, rooms and sessions, and one disconnect per connect."""
    with serve(tmp_path, stack) as server:
        before = server.ask()
        assert before["status"]["state"] == "on"
        assert (str(tmp_path) in before["engineio"]) == stack[4]
        client = socketio.Client(reconnection=False)
        heard: dict[str, Any] = {}
        rung = {name: threading.Event() for name in ("answered", "entered")}

        def hear(name: str) -> None:
            client.on(name, lambda data: (heard.update({name: data}), rung[name].set()))

        hear("answered")
        hear("entered")
        client.on("question", lambda data: data * 2)
        client.connect(f"http://127.0.0.1:{server.port}", transports=transports, wait_timeout=20)
        assert client.transport() == "websocket"
        for data in ("x", "y" * 90_000, {"nested": [1, None, "é"]}, b"\x00\xff" * 40_000):
            assert client.call("echo", data, timeout=20) == data
        client.emit("ask", 21)
        assert rung["answered"].wait(20)
        client.emit("enter", "room 1")
        assert rung["entered"].wait(20)
        assert heard == {"answered": 42, "entered": "room 1"}
        assert server.ask()["websockets"] == 1
        client.disconnect()
        last = settled(server, before, 10)
        assert (last["connected"], last["disconnected"], last["twice"]) == (1, 1, 0), last
        assert "Traceback" not in server.log


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[4], STACKS[7]], ids=[IDS[0], IDS[4], IDS[7]])
def test_clients_that_leave_in_every_way_leave_nothing_behind(
    tmp_path: Path, stack: tuple[str, str, str, str, bool]
) -> None:
    """RST, end of stream, half a frame, close frame, silence, and a reader that stalls."""
    with serve(tmp_path, stack, INTERVAL="1", TIMEOUT="1") as server:
        open_websocket(server).close()  # the first one starts the engine
        before = settled(server, {"fds": 0}, 1)
        chosen = random.Random(1)
        for _ in range(150):
            client = open_websocket(server)
            way = chosen.choice(["reset", "end", "half", "close", "silent", "stalled"])
            if way == "stalled":
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                client.send('42["flood",3000]')
            if way == "half":
                client.sock.sendall(b"\x81\xfe\x10")
            if way == "reset":
                reset(client.sock)
            elif way == "close":
                client.close()
            elif way in ("end", "half"):
                client.sock.shutdown(socket.SHUT_WR)
        last = settled(server, before, 1 + 1 + 2)  # the interval, the timeout, and two seconds
        assert (last["connected"], last["disconnected"], last["twice"]) == (151, 151, 0), last
        assert last["sessions"] == 0
        assert last["fds"] <= before["fds"], last
        assert "Traceback" not in server.log


def test_threads_do_not_follow_clients(tmp_path: Path) -> None:
    """200 clients, all of which are answered, on four threads of the server's and a few of ours."""
    with serve(tmp_path, STACKS[0]) as server:
        clients = [open_websocket(server) for _ in range(200)]
        for client in clients:
            client.send('42["echo","hello"]')
        for client in clients:
            assert client.recv() == '42["echo","hello"]'
        facts = server.ask()
        assert facts["sessions"] == 200
        assert facts["tasks"] <= 4 + 8 + 4, (
            facts
        )  # its main thread, the engine, and the monitor of engineio among them
        for client in clients:
            client.close()


@pytest.mark.parametrize("transports", [["polling", "websocket"], ["polling"]], ids="+".join)
@pytest.mark.parametrize("stack", [STACKS[0], STACKS[3]], ids=[IDS[0], IDS[3]])
def test_polls_do_not_keep_out_what_ends_them(
    tmp_path: Path, stack: tuple[str, str, str, str, bool], transports: list[str]
) -> None:
    """50 clients that poll, on four threads or on none to spare."""
    with serve(tmp_path, stack) as server:
        answers: list[Any] = []
        clients = [socketio.Client(reconnection=False) for _ in range(50)]

        def talk(number: int) -> None:
            url = f"http://127.0.0.1:{server.port}"
            clients[number].connect(url, transports=transports, wait_timeout=20)
            answers.append(clients[number].call("echo", number, timeout=20))

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == list(range(50))
        assert {client.transport() for client in clients} == {transports[-1]}
        for client in clients:
            client.disconnect()
        assert "Traceback" not in server.log


def test_polls_at_the_same_time_leave_no_descriptor_behind(tmp_path: Path) -> None:
    """Of one session, which has nothing to say: each but the last is answered at once."""
    with serve(tmp_path, STACKS[3]) as server:
        open_websocket(server).close()  # the engine opens what it keeps for good
        assert server.wait_until(lambda: server.ask()["sessions"] == 0, 10)
        before = server.ask()["fds"]
        with connected(server) as client:
            client.sendall(
                b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            sid = re.search(rb'"sid":"([^"]+)"', client.makefile("rb").read())
        assert sid is not None
        poll = b"GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n\r\n" % sid[1]
        with contextlib.ExitStack() as kept:
            polls = []
            for _ in range(10):  # one by one: a sync worker waits for what a connection has to say
                polls.append(kept.enter_context(connected(server)))
                polls[-1].sendall(poll)
                server.ask()  # it has seen the poll
            for one in polls[:-1]:
                assert one.makefile("rb").read().endswith(b"\r\n\r\n6")
        assert server.wait_until(lambda: server.ask()["fds"] <= before + 1, 10)


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[1]], ids=[IDS[0], IDS[1]])
def test_a_polling_client_that_answers_its_pings_stays(
    tmp_path: Path, stack: tuple[str, str, str, str, bool]
) -> None:
    """Over several pings, with a timeout that is shorter than their interval."""
    with serve(tmp_path, stack, INTERVAL="1", TIMEOUT="0.5") as server:
        client = socketio.Client(reconnection=False)
        pings = threading.Semaphore(0)
        receive = client.eio._receive_packet

        def count(packet: Any) -> None:
            receive(packet)
            if packet.packet_type == 2:
                pings.release()

        client.eio._receive_packet = count
        client.connect(f"http://127.0.0.1:{server.port}", transports=["polling"], wait_timeout=20)
        for _ in range(4):
            assert pings.acquire(timeout=10)
            assert client.call("echo", "still here", timeout=10) == "still here"
        assert server.ask()["disconnected"] == 0
        client.disconnect()


def test_a_worker_that_is_told_twice_leaves_once(tmp_path: Path) -> None:
    """As systemd does, which signals every process of the group, while the master passes it on."""
    with serve(tmp_path, STACKS[0], "--graceful-timeout", "10") as server:
        worker = server.ask()["pid"]
        clients = [open_websocket(server) for _ in range(50)]
        for _ in range(20):
            os.kill(worker, signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
            client.close()
        assert server.process.wait(8) == 0
        assert "Traceback" not in server.log


def test_a_handler_that_blocks_holds_up_nobody(tmp_path: Path) -> None:
    """Neither another client nor its own, whose next event releases it."""
    with serve(tmp_path, STACKS[0]) as server:
        client, other = open_websocket(server), open_websocket(server)
        client.send('42["block"]')
        other.send('42["echo",1]')
        assert other.recv() == '42["echo",1]'
        client.send('42["echo",2]')
        assert client.recv() == '42["echo",2]'
        client.send('421["release"]')
        assert client.recv().startswith("431[")


def test_a_handler_that_fails_is_reported_and_harms_nobody(tmp_path: Path) -> None:
    """Its own traceback, as the thread it had before would have printed it."""
    with serve(tmp_path, STACKS[0]) as server:
        client = open_websocket(server)
        client.send('42["fail"]')
        client.send('42["echo",1]')
        assert client.recv() == '42["echo",1]'
        assert server.log.count("RuntimeError: a handler's own bug") == 1
        client.close()


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 1001), (signal.SIGHUP, 1012)], ids=["TERM", "HUP"]
)
@pytest.mark.parametrize("stack", [STACKS[0], STACKS[2], STACKS[4]], ids=[IDS[0], IDS[2], IDS[4]])
def test_a_worker_that_leaves_says_so(
    tmp_path: Path, stack: tuple[str, str, str, str, bool], sent: signal.Signals, code: int
) -> None:
    """Every client gets a close frame, every session its disconnect, and the access log a line."""
    arguments = ("--access-logfile", "-", "--graceful-timeout", "10")
    with serve(tmp_path, stack, *arguments) as server:
        facts = server.ask()
        clients = [open_websocket(server) for _ in range(10)]
        server.process.send_signal(sent)
        for client in clients:
            opcode, payload = client.recv_data()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, code)
            client.close()
        if sent == signal.SIGTERM:
            assert server.process.wait(8) == 0
        else:
            assert server.ask(wanted=str(facts["pid"]))["sessions"] == 0
        assert server.wait_until(lambda: server.log.count("101 ") >= 10, 5)
        assert server.log.count(f"websocket code={code} cause=here") == 10
        assert "WORKER TIMEOUT" not in server.log
        assert "Traceback" not in server.log


def test_a_worker_at_its_last_request_hands_over(tmp_path: Path) -> None:
    """max_requests with open WebSockets, and nobody beside it: they are told, and the next worker serves."""
    with serve(tmp_path, STACKS[0], "--max-requests", "5", "--graceful-timeout", "10") as server:
        client = open_websocket(server)
        first = server.ask()["pid"]
        assert server.wait_until(lambda: server.ask()["pid"] != first, 15)
        opcode, payload = client.recv_data()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1012)
        client.close()
        assert "WORKER TIMEOUT" not in server.log
