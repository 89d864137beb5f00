"""A worker that is drained: nobody who was served is cut off, and somebody takes its place."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import pytest
from control_service import EVENTLET, STACKS, SYNC, Service, serve
from hangup._demo.server import wait_until
from raw_websocket import begin_session, close_code, until

PEERS = 20


def is_served(service: Service) -> bool:
    """Whether somebody waits for a response."""
    return any(
        row["kind"] == "http" and row["received"] and not row["sent"]
        for row in service.ask("snapshot")["connections"]
    )


def check_a_drain(service: Service) -> None:
    """With a request that takes longer than the WebSockets, which are closed one after the other."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(begin_session(service.port)) for _ in range(PEERS)]
        request = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
        request.sendall(b"GET /slow/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wait_until(lambda: is_served(service), 10)
        left = service.ask("drain", within=20, jitter=0.5)["draining"]
        assert 15 < left <= 20
        ends = []
        for client in clients:
            assert close_code(client) == 1012
            ends.append(time.monotonic())
        assert b'"pid": %d' % service.pid in until(request, b"}")
    assert wait_until(lambda: bool(service.workers()) and service.pid not in service.workers(), 20)
    assert service.get()["pid"] != service.pid
    assert "Traceback" not in service.gunicorn.log
    assert "WORKER TIMEOUT" not in service.gunicorn.log


def test_a_drain_lets_requests_end_and_closes_websockets_with_1012(tmp_path: Path) -> None:
    """One after the other; another worker takes its place."""
    with serve(tmp_path, STACKS[0]) as service:
        check_a_drain(service)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [*STACKS[1:], EVENTLET], ids="-".join)
def test_others_drain_too(tmp_path: Path, stack: tuple[str, str, str]) -> None:
    """The other versions and hubs."""
    with serve(tmp_path, stack) as service:
        check_a_drain(service)


def test_the_closes_are_spread_over_the_jitter(tmp_path: Path) -> None:
    """The first are closed when the last are not."""
    with serve(tmp_path, SYNC) as service, contextlib.ExitStack() as stack:
        for _ in range(PEERS):
            stack.enter_context(begin_session(service.port))
        service.ask("drain", within=20, jitter=2)
        counts = {service.ask("status")["websockets"]}
        assert wait_until(lambda: counts.add(service.ask("status")["websockets"]) or len(counts) >= 4, 10)


@pytest.mark.slow
def test_time_is_up_for_a_request_that_does_not_end(tmp_path: Path) -> None:
    """The worker leaves without it, in the time that was given."""
    with (
        serve(tmp_path, STACKS[0]) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as request,
    ):
        request.sendall(b"GET /slow/25 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wait_until(lambda: is_served(service), 10)
        began = time.monotonic()
        service.ask("drain", within=1)
        assert wait_until(lambda: not os.path.exists(f"/proc/{service.pid}"), 20)
        assert 0.9 < time.monotonic() - began < 15


def test_a_process_that_nobody_would_replace_is_not_drained() -> None:
    """It is no worker."""
    from hangup._control.verbs import Verbs

    (said,) = Verbs(None).answer({"verb": "drain"})
    assert said["error"] == "failed"
    assert "nobody would take its place" in said["message"]
