"""``hangup close`` and ``hangup drain``, with clients that know what happened to them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import hangup
from control_service import STACKS, Service, serve
from hangup._control.connections import address as written
from hangup._demo.server import wait_until
from raw_websocket import begin_session, close_code


class Requests(threading.Thread):
    """Somebody who asks for something all the time."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._is_over = threading.Event()
        self.pids: list[int] = []
        self.failures: list[Exception] = []

    def run(self) -> None:
        while not self._is_over.is_set():
            try:
                self.pids.append(self._service.get("/slow/0.01")["pid"])
            except (OSError, ValueError) as failure:
                self.failures.append(failure)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self._is_over.set()
            self.join()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_all_workers_are_drained_and_no_request_fails(tmp_path: Path, workers: int) -> None:
    """One after the other; where there is one, another one is there before it leaves."""
    with (
        serve(tmp_path, STACKS[0], workers=workers, HANGUP_HANDOVER="off") as service,
        contextlib.ExitStack() as stack,
    ):
        assert wait_until(lambda: len(service.workers()) == workers, 20)
        before = service.workers()
        clients = [stack.enter_context(begin_session(service.port)) for _ in range(6)]
        requests = Requests(service)
        master = service.gunicorn.process.pid
        with requests.going_on():
            done = hangup("drain", "--pid", master, "--within", 20, "--jitter", 0.5)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        lines = done.stdout.splitlines()
        assert [line.partition(":")[0] for line in lines] == [f"worker {pid}" for pid in before]
        assert all("left after" in line and "; replaced by " in line for line in lines)
        assert " → " in done.stdout
        assert requests.failures == []
        assert {close_code(client) for client in clients} == {1012}
        assert wait_until(lambda: len(service.workers()) == workers, 20)
        assert not set(before) & set(service.workers())
        assert "Traceback" not in service.gunicorn.log


@pytest.mark.slow
def test_a_worker_that_does_not_leave_in_time_is_status_1(tmp_path: Path) -> None:
    """And those behind it are not drained."""
    with serve(tmp_path, STACKS[0], workers=2) as service:
        assert wait_until(lambda: len(service.workers()) == 2, 20)
        slow = threading.Thread(target=busy, args=(service,))
        slow.start()
        assert wait_until(lambda: any(is_served(service, pid) for pid in service.workers()), 10)
        first = service.workers()
        done = hangup(
            "drain", "--pid", service.gunicorn.process.pid, "--within", 1, "--jitter", 0, "-f", "json"
        )
        phases = [json.loads(line)["phase"] for line in done.stdout.splitlines()]
        assert done.returncode == 1
        assert phases[-1] in ("late", "alone")
        assert first[1] in service.workers() or first[0] in service.workers()
        slow.join()


def busy(service: Service) -> None:
    with contextlib.suppress(OSError, ValueError):
        service.get("/slow/20")


def is_served(service: Service, pid: int) -> bool:
    from hangup._control import ask

    rows = ask(pid, "snapshot")["connections"]
    return any(row["kind"] == "http" and row["received"] and not row["sent"] for row in rows)


def test_clients_are_closed_by_name_and_by_silence(tmp_path: Path) -> None:
    """What would be closed is said first; a name that nobody has is status 1."""
    with serve(tmp_path, STACKS[0], workers=2) as service, contextlib.ExitStack() as stack:
        assert wait_until(lambda: len(service.workers()) == 2, 20)
        master = service.gunicorn.process.pid
        named = stack.enter_context(begin_session(service.port))
        raw = [stack.enter_context(begin_session(service.port)) for _ in range(4)]
        said = hangup("close", "--pid", master, "--silent-for", 0, "--dry-run")
        assert (said.returncode, said.stdout.count("would be closed")) == (0, 5), said.stdout
        seen = json.loads(hangup("top", "--pid", master, "--times", 1, "-f", "json").stdout)["connections"]
        (sid,) = [row["sids"]["/"] for row in seen if row["peer"] == written(named.getsockname())]
        done = hangup("close", "--pid", master, sid, "nobody", "-f", "json")
        assert done.returncode == 1
        answer = json.loads(done.stdout)
        assert [row["sids"]["/"] for row in answer["closed"]] == [sid]
        assert answer["missing"] == [{"sid": "nobody"}]
        assert close_code(named) == 1000
        done = hangup("close", "--pid", master, "--silent-for", 0, "--code", 4002, "--reason", "tidying up")
        assert (done.returncode, done.stdout.count("close frame 4002")) == (0, 4), done.stdout
        assert {close_code(client) for client in raw} == {4002}
        assert hangup("close", "--pid", master, "--idle", 3600).stdout == "nobody was meant\n"
        refused = hangup("close", "--pid", master, "--fd", 7)
        assert refused.returncode == 2
        assert "each worker has a descriptor 7" in refused.stderr
