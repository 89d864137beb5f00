"""Clients that send their request byte by byte, and many of them: who is kept out, stock and with hangup."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from raw_websocket import REQUEST, begin_session
from test_websocket import IDS, STACKS, serve

Stack = tuple[str, str, str, str, bool]
PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
THREADED = pytest.mark.parametrize("stack", [STACKS[0], STACKS[2]], ids=[IDS[0], IDS[2]])
MANY = pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """For a thousand clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(server: Gunicorn) -> socket.socket:
    """A bare connection whose bytes leave one by one."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def dribble(clients: list[socket.socket], request: bytes, since: int, to: int) -> None:
    """Each sends its next bytes, one at a time."""
    for position in range(since, to):
        for client in clients:
            client.sendall(request[position : position + 1])


def waits(server: Gunicorn) -> float:
    """Seconds until somebody else has a session."""
    began = time.monotonic()
    begin_session(server.port).close()
    return time.monotonic() - began


@MANY
@pytest.mark.parametrize("stack", [STACKS[0], STACKS[2], STACKS[3]], ids=[IDS[0], IDS[2], IDS[3]])
def test_slow_upgrades_keep_nobody_out(tmp_path: Path, stack: Stack, count: int) -> None:
    """And each of them is answered in the end."""
    with serve(tmp_path, stack) as server, contextlib.ExitStack() as kept:
        slow = [kept.enter_context(connected(server)) for _ in range(count)]
        dribble(slow, REQUEST, 0, 5)
        assert waits(server) < 5
        dribble(slow, REQUEST, 5, 10)
        assert waits(server) < 5
        for client in slow:
            client.sendall(REQUEST[10:])
        for client in slow:
            assert client.recv(20).startswith(b"HTTP/1.1 101")
        assert server.log.count("Booting worker") == 1
        assert "Traceback" not in server.log


@THREADED
def test_stock_as_many_as_there_are_threads_keep_everybody_out(tmp_path: Path, stack: Stack) -> None:
    """For as long as they like."""
    with serve(tmp_path, stack, HANGUP="off") as server, contextlib.ExitStack() as kept:
        slow = [kept.enter_context(connected(server)) for _ in range(4)]
        dribble(slow, REQUEST, 0, 5)
        other = kept.enter_context(connected(server))
        other.sendall(PLAIN)
        other.settimeout(3)
        with pytest.raises(TimeoutError):
            other.recv(1)


@MANY
def test_a_hub_gives_its_greenlets_back(tmp_path: Path, count: int) -> None:
    """gunicorn's ``keepalive`` limits heads there, also where the slow clients are all that the worker may have."""
    with (
        serve(tmp_path, STACKS[4], "--worker-connections", str(count)) as server,
        contextlib.ExitStack() as kept,
    ):
        slow = [kept.enter_context(connected(server)) for _ in range(count)]
        dribble(slow, REQUEST, 0, 5)
        assert waits(server) < 8
        assert "Traceback" not in server.log


@pytest.mark.parametrize("stack", [STACKS[0], STACKS[3]], ids=[IDS[0], IDS[3]])
def test_a_worker_that_leaves_serves_whom_it_has_accepted(tmp_path: Path, stack: Stack) -> None:
    """Stock: sync leaves them to the next worker, gthread serves them. (gthread of 21.2 ends its loop at once.)"""
    limit = ("--max-requests", "3")  # the first answered `serve`
    with serve(tmp_path, stack, *limit) as server, contextlib.ExitStack() as kept:
        early = [kept.enter_context(connected(server)) for _ in range(6)]
        dribble(early, PLAIN, 0, 5)
        for _ in range(2):
            assert server.ask()["pid"]  # behind them in the backlog, so all of them are taken in
        for client in early:
            client.sendall(PLAIN[5:])
        for client in early:
            assert client.recv(20).startswith(b"HTTP/1.1 200")


def test_several_sync_workers_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A client that sends its request late is served by the worker that is idle."""
    app = """
import json, os, time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(3)
    body = json.dumps({"pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    args = ["-c", "python:hangup.gunicorn", "-k", "sync", "-w", "2"]
    with gunicorn(tmp_path, *args, app=app) as server, contextlib.ExitStack() as kept:
        server.ask()
        for _ in range(4):
            late, slow = (kept.enter_context(connected(server)) for _ in range(2))
            slow.sendall(PLAIN.replace(b"/", b"/slow", 1))
            began = time.monotonic()
            late.sendall(PLAIN)
            assert late.recv(20).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - began < 2
            assert slow.recv(20).startswith(b"HTTP/1.1 200")


@THREADED
def test_who_sends_no_more_is_answered_at_once(tmp_path: Path, stack: Stack) -> None:
    """As gunicorn does it: with an error, or the end of the stream."""
    with serve(tmp_path, stack) as server, contextlib.ExitStack() as kept:
        client = kept.enter_context(connected(server))
        client.sendall(b"no request\r\n")
        client.settimeout(5)
        assert client.recv(12) == b"HTTP/1.1 400"
        for sent in (PLAIN, PLAIN.replace(b"\r", b""), PLAIN[:-4]):
            client = kept.enter_context(connected(server))
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            assert client.recv(4) == b"HTTP" or sent != PLAIN
