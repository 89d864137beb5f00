"""Several workers, and clients that know nothing of it: polling, upgrades and WebSockets, without a sticky balancer."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from crowded_app import APP
from e2e_gunicorn import Gunicorn, gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from hangup.testing import connect
from javascript import require_node
from journal_app import JS
from several_workers import EVERY_STACK, GTHREAD, WORKERS, Stack, serving

socketio = pytest.importorskip("socketio")
pytest.importorskip("flask_socketio")

POLLING, UPGRADE, WEBSOCKET = ["polling"], ["polling", "websocket"], ["websocket"]


def crowd(
    port: int, count: int, transports: list[str], echoes: int = 5, patience: float = 30
) -> dict[str, Any]:
    """What that many of JavaScript's clients report; they wait ``patience`` seconds for each answer."""
    require_node()
    arguments = [str(count), json.dumps(transports), str(echoes), str(patience)]
    done = subprocess.run(
        ["node", "crowd.js", f"http://127.0.0.1:{port}", *arguments],
        cwd=JS, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def is_served(report: dict[str, Any], count: int, echoes: int = 5) -> None:
    """Everybody was, and was told what one of them said; and no worker had much more of them than another."""
    assert report["errors"] == {}
    assert (report["connected"], report["echoed"], report["told"]) == (count, count * echoes, count)
    assert len(report["workers"]) == WORKERS
    assert max(report["workers"].values()) / min(report["workers"].values()) <= 1.5


@EVERY_STACK
def test_every_client_reaches_its_session(tmp_path: Path, stack: Stack) -> None:
    """Whatever its transport, and everybody hears an emit of anybody."""
    with serving(tmp_path, stack, APP) as server:
        for transports in (POLLING, UPGRADE, WEBSOCKET):
            is_served(crowd(server.port, 60, transports), 60)
            assert wait_until(
                lambda: is_at_rest(server), 40
            )  # or the next ones go to whoever is rid of these
        assert "Traceback" not in server.log


def is_at_rest(server: Gunicorn) -> bool:
    counted = metrics.read(server.process.pid).total
    return counted["sessions_opened"] == counted["sessions_closed"]


def test_stock_workers_refuse_each_other_s_sessions(tmp_path: Path) -> None:
    """What it is like without."""
    with serving(
        tmp_path, GTHREAD, APP, "--threads", "60", "--graceful-timeout", "1", HANGUP="off"
    ) as server:
        report = crowd(server.port, 12, POLLING, patience=3)
        assert any("400" in error for error in report["errors"]), report
        assert report["connected"] < 12


NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 2048; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 8; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 60s;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(directory: Path, upstream: int) -> Iterator[int]:
    """In front of a server, with few kept connections, on which requests of all clients alternate."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(directory=directory, upstream=upstream, port=port))
    process = subprocess.Popen(
        [program, "-c", str(configuration), "-p", str(directory)], stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until(lambda: answers(port), 10), (directory / "nginx.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_behind_a_proxy_that_keeps_its_connections(tmp_path: Path) -> None:
    """One of them carries requests about one session after the other: it goes from worker to worker."""
    with serving(tmp_path, GTHREAD, APP) as server, nginx(tmp_path, server.port) as port:
        for transports in (POLLING, UPGRADE, WEBSOCKET):
            is_served(crowd(port, 60, transports), 60)
            assert wait_until(lambda: is_at_rest(server), 40)
        assert "Traceback" not in server.log
        access = (tmp_path / "access.log").read_text()
        assert '" 400 ' not in access
        assert '" 502 ' not in access


@pytest.mark.slow
def test_four_hundred_at_once(tmp_path: Path) -> None:
    """Directly, and through a proxy."""
    with serving(tmp_path, GTHREAD, APP) as server, nginx(tmp_path, server.port) as port:
        for transports in (POLLING, UPGRADE, WEBSOCKET):
            is_served(crowd(server.port, 400, transports), 400)
            is_served(crowd(port, 400, transports), 400)
        assert "Traceback" not in server.log


def handshake(connection: HTTPConnection) -> str:
    """Opens a session on a kept connection: its id."""
    connection.request("GET", "/socket.io/?EIO=4&transport=polling")
    opened = connection.getresponse()
    body = opened.read()
    assert opened.status == 200, body
    sid: str = json.loads(body[1:])["sid"]
    return sid


def ask(
    connection: HTTPConnection, sid: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """A POST of a session, or a poll."""
    path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    connection.request("POST" if body else "GET", path, body or None, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_kept_connection_goes_from_worker_to_worker(tmp_path: Path) -> None:
    """With long bodies, and those in chunks; and what is none of Engine.IO is answered by whoever has it."""
    with serving(tmp_path, GTHREAD, APP, "--keep-alive", "20") as server:
        first = HTTPConnection("127.0.0.1", server.port, timeout=10)
        sids = [handshake(first) for _ in range(2 * WORKERS)]
        for sid in sids:
            assert ask(first, sid, b"40") == (200, b"OK")
        for sid in reversed(sids):
            status, body = ask(first, sid)
            assert (status, body[:2]) == (200, b"40")
        for length in (10, 9_000, 200_000):
            message = json.dumps(["echo", "x" * length]).encode()
            for number, sid in enumerate(sids):
                assert ask(first, sid, b"42%d" % number + message) == (200, b"OK")
            for number, sid in enumerate(sids):
                status, body = ask(first, sid)
                assert (status, body[:3]) == (200, b"43%d" % number)
                assert json.loads(body[3:]) == ["x" * length]
        for sid in sids:
            first.putrequest("POST", f"/socket.io/?EIO=4&transport=polling&sid={sid}")
            first.putheader("Transfer-Encoding", "chunked")
            first.endheaders([b'42["echo",', b'"in chunks"]'], encode_chunked=True)
            answer = first.getresponse()
            # engineio asks for a length, which there is none of: it is the same answer everywhere
            assert answer.status in (200, 400), answer.read()
            answer.read()
            break
        first.close()
        assert "Traceback" not in server.log


def passed(server: Gunicorn) -> int:
    return metrics.read(server.process.pid).total["connections_passed"]


def test_a_forged_id_goes_nowhere(tmp_path: Path) -> None:
    """It is answered where it came to: 400."""
    with serving(tmp_path, GTHREAD, APP) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        sid = handshake(connection)
        before = passed(server)
        forged = [
            sid[:-1] + ("A" if sid[-1] != "A" else "B"),
            sid[::-1],
            "A" * 20,
            "1",
            "%00" * 9,
            "é".encode().hex(),
        ]
        for wrong in forged:
            for _ in range(WORKERS):
                fresh = HTTPConnection("127.0.0.1", server.port, timeout=10)
                assert ask(fresh, wrong)[0] == 400
                fresh.close()
        assert passed(server) == before
        connection.close()
        assert "Traceback" not in server.log


def client_of(port: int, transports: list[str]) -> Any:
    client = socketio.Client(reconnection=False)
    client.connect(f"http://127.0.0.1:{port}", transports=transports, wait_timeout=20)
    return client


def test_rooms_calls_and_disconnects_reach_everybody(tmp_path: Path) -> None:
    """As with one of python-socketio's managers for message queues."""
    with serving(tmp_path, GTHREAD, APP) as server, contextlib.ExitStack() as ended:
        clients = [client_of(server.port, WEBSOCKET) for _ in range(2 * WORKERS)]
        said: collections.Counter[int] = collections.Counter()
        gone: set[int] = set()
        for number, client in enumerate(clients):
            ended.callback(client.disconnect)
            client.on("said", lambda _, number=number: said.update([number]))
            client.on("question", lambda question, number=number: [number, question])
            client.on("disconnect", lambda *_, number=number: gone.add(number))
        assert len({client.call("where") for client in clients}) == WORKERS
        sids = [client.call("enter", f"room {number % 2}") for number, client in enumerate(clients)]
        clients[0].call("say", ("room 1", {"a": [1, 2], "b": b"bytes"}))
        assert wait_until(lambda: said == dict.fromkeys(range(1, 2 * WORKERS, 2), 1), 10), said
        for number, sid in enumerate(sids):
            assert clients[0].call("ask", (sid, "who?")) == [number, "who?"]
        clients[0].call("close", "room 1")
        clients[0].call("say", ("room 0", 1))
        assert wait_until(lambda: sum(said.values()) == 2 * WORKERS, 10), said
        clients[0].call("end", sids[-1])
        assert wait_until(lambda: gone == {len(sids) - 1}, 10), gone
        # what was sent before this has been handled: it comes the same way
        assert clients[0].call("ask", (sids[-2], "still there?")) == [len(sids) - 2, "still there?"]
        clients[0].call("say", ("room 1", 2))
        clients[0].call("ask", (sids[-2], "told?"))
        assert sum(said.values()) == 2 * WORKERS
        assert "Traceback" not in server.log


def test_a_worker_that_is_killed_takes_only_its_own_along(tmp_path: Path) -> None:
    """The others' clients go on, the others' ids are valid, and whoever comes back is served."""
    with serving(tmp_path, GTHREAD, APP) as server, contextlib.ExitStack() as ended:
        clients = [client_of(server.port, WEBSOCKET) for _ in range(2 * WORKERS)]
        gone: set[int] = set()
        for number, client in enumerate(clients):
            ended.callback(client.disconnect)
            client.on("disconnect", lambda *_, number=number: gone.add(number))
        where = [client.call("where") for client in clients]
        victim = where[0]
        os.kill(victim, signal.SIGKILL)
        lost = {number for number, pid in enumerate(where) if pid == victim}
        assert wait_until(lambda: gone == lost, 10), gone
        for number, client in enumerate(clients):
            if number not in lost:
                assert client.call("echo", number) == number
        assert wait_until(lambda: server.log.count("Booting worker") == WORKERS + 1, 20), server.log
        deadline = time.monotonic() + 20
        again = []
        while time.monotonic() < deadline and len(again) < len(lost):
            again.append(client_of(server.port, POLLING))
            ended.callback(again[-1].disconnect)
        assert all(client.call("echo", "back") == "back" for client in again)
        assert gone == lost
        assert "Traceback" not in server.log


def test_a_client_that_leaves_while_it_is_passed_leaves_nothing(tmp_path: Path) -> None:
    """Neither descriptors nor sessions that are expected for ever."""
    with serving(tmp_path, GTHREAD, APP) as server:
        for _ in range(200):
            with connect(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(WORKERS):
            server.ask()

        def settled() -> bool:
            family = metrics.read(server.process.pid)
            opened, closed = family.total["sessions_opened"], family.total["sessions_closed"]
            return opened > 0 and opened >= closed

        assert wait_until(settled, 10)
        report = crowd(server.port, 40, WEBSOCKET)
        assert report["errors"] == {}
        assert "Traceback" not in server.log


TWO = """
import os, socketio
one = socketio.Server(async_mode="threading", cors_allowed_origins="*")
two = socketio.Server(async_mode="threading", cors_allowed_origins="*")
for name, server in (("one", one), ("two", two)):
    server.on("where", lambda sid: os.getpid())
    server.on("say", lambda sid, data, server=server, name=name: server.emit("said", [name, data]))
def facts(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"pid": %d}' % os.getpid()]
app = socketio.WSGIApp(two, socketio.WSGIApp(one, facts), socketio_path="two")
"""


def is_one(number: int) -> bool:
    """Of two clients that come one after the other, each goes to another worker."""
    return number % 4 > 1


def test_two_servers_of_an_application_do_not_hear_each_other(tmp_path: Path) -> None:
    """Each has its own clients in all workers."""
    given = ("-k", "gthread", "--threads", "8", "-w", "2", "-c", "python:hangup.gunicorn")
    with gunicorn(tmp_path, *given, app=TWO) as server, contextlib.ExitStack() as ended:
        server.ask()
        assert wait_until(lambda: len(metrics.read(server.process.pid).serving) == 2, 20), server.log
        heard: list[tuple[int, Any]] = []
        clients = []
        for number in range(8):
            client = socketio.Client(reconnection=False)
            client.on("said", lambda data, number=number: heard.append((number, data)))
            path = "socket.io" if is_one(number) else "two"
            client.connect(
                f"http://127.0.0.1:{server.port}", transports=WEBSOCKET, socketio_path=path, wait_timeout=20
            )
            ended.callback(client.disconnect)
            clients.append(client)
        where = [client.call("where") for client in clients]
        assert set(where[::4] + where[1::4]) == set(where[2::4] + where[3::4]) == set(where)
        clients[0].emit("say", 1)
        clients[2].emit("say", 2)
        told = [(number, ["one", 2] if is_one(number) else ["two", 1]) for number in range(8)]
        assert wait_until(lambda: sorted(heard) == told, 10), heard
        assert "Traceback" not in server.log
