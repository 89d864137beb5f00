"""Workers that are replaced while clients talk to them: nobody notices."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from javascript import require_node
from journal_app import JS
from rolling_app import APP
from several_workers import EVERY_STACK, GEVENT, GTHREAD, SYNC, WORKERS, Stack, serving

socketio = pytest.importorskip("socketio")
pytest.importorskip("flask_socketio")


class Crowd:
    """Clients that go on talking (``js/rolling.js``)."""

    def __init__(self, port: int, count: int, pause: int, beat: int) -> None:
        require_node()
        arguments = [f"http://127.0.0.1:{port}", str(count), str(pause), str(beat)]
        self._process = subprocess.Popen(
            ["node", "rolling.js", *arguments],
            cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.connected = self._read()["connected"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the clients ended"
        report: dict[str, Any] = json.loads(line)
        return report

    def begin(self, phase: str) -> None:
        """What answers take from now on is counted apart."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{phase}\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """What they report."""
        self.begin("end")
        report = self._read()
        self._process.wait(30)
        return report

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._process:  # which closes its pipes
            self._process.kill()


def serving_pids(server: Gunicorn) -> set[int]:
    return set(metrics.read(server.process.pid).serving)


def replace_one(server: Gunicorn, pid: int) -> None:
    """By TERM, which gunicorn answers with another worker."""
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: len(serving_pids(server) - {pid}) == WORKERS, 40), server.log


def reload(server: Gunicorn) -> None:
    before = serving_pids(server)
    server.process.send_signal(signal.SIGHUP)
    assert wait_until(
        lambda: len(serving_pids(server) - before) == WORKERS and not serving_pids(server) & before, 60
    ), server.log


def notices_nothing(report: dict[str, Any], server: Gunicorn) -> None:
    assert report["errors"] == {}, (report, server.log)
    assert "Traceback" not in server.log


@EVERY_STACK
def test_clients_notice_nothing_of_new_workers(tmp_path: Path, stack: Stack) -> None:
    """Each worker is told to leave, and then all of them by a reload."""
    ended = tmp_path / "ended"
    with serving(tmp_path, stack, APP, ENDED=str(ended)) as server:
        with Crowd(server.port, 60, 200, 20) as crowd:
            crowd.begin("rolling")
            for pid in serving_pids(server):
                replace_one(server, pid)
            reload(server)
            assert not ended.exists(), ended.read_text()
            report = crowd.end()
            notices_nothing(report, server)
            assert report["phases"]["rolling"]["count"] > 100
        assert metrics.read(server.process.pid).total["sessions_moved"] >= 60


class Guest:
    """A client of python-socketio that says what it went through."""

    def __init__(self, port: int) -> None:
        self.client = socketio.Client(reconnection=False)
        self.heard: list[tuple[str, Any]] = []
        self.client.on("*", lambda event, *data: self.heard.append((event, *data)))
        self.client.on("question", lambda question: ["answer to", question])
        self.client.on("disconnect", lambda *_: self.heard.append(("disconnect", None)))
        self.client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], wait_timeout=20)
        self._websocket = self.client.eio.ws

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.client.disconnect()
        self._websocket.shutdown()  # which it leaves open if it was closed by its server

    @property
    def sid(self) -> str:
        sid: str = self.client.get_sid()
        return sid

    @property
    def pid(self) -> int:
        pid: int = self.client.call("pid", timeout=20)
        return pid


@contextlib.contextmanager
def guests(port: int, count: int) -> Iterator[list[Guest]]:
    with contextlib.ExitStack() as ended:
        yield [ended.enter_context(Guest(port)) for _ in range(count)]


def test_what_is_awaited_follows_a_client(tmp_path: Path) -> None:
    """Answers to calls of other workers, and what a handler that takes its time says at last."""
    with (
        serving(tmp_path, GTHREAD, APP, ENDED=str(tmp_path / "ended")) as server,
        guests(server.port, WORKERS) as there,
    ):
        asker, asked, holder, *_ = there
        before = asked.pid
        assert len({one.pid for one in there}) == WORKERS
        release = threading.Event()
        asked.client.on("question", lambda question: [release.wait(20), question])
        answers: list[Any] = []
        calling = threading.Thread(
            target=lambda: answers.append(asker.client.call("ask", (asked.sid, "where?", 20), timeout=20))
        )
        calling.start()
        held: list[Any] = []
        holder.client.emit("hold", 1.5, callback=held.append)
        held_in = holder.pid
        replace_one(server, before)
        replace_one(server, held_in)
        release.set()
        calling.join(20)
        assert answers == [[True, "where?"]]
        assert asked.pid != before
        assert wait_until(lambda: held == [held_in] and ("held", held_in) in holder.heard, 10), holder.heard
        assert holder.pid != held_in
        assert not any(("disconnect", None) in one.heard for one in there)
        assert "Traceback" not in server.log


def test_a_session_that_no_other_process_can_have_is_told(tmp_path: Path) -> None:
    """Its client is closed with 1012, and may come back; the others notice nothing."""
    with (
        serving(tmp_path, GTHREAD, APP, ENDED=str(tmp_path / "ended")) as server,
        guests(server.port, 2 * WORKERS) as there,
    ):
        where = [one.pid for one in there]
        stuck = there[0]
        stuck.client.call("stick")
        replace_one(server, where[0])
        assert wait_until(lambda: ("disconnect", None) in stuck.heard, 20), server.log
        assert wait_until(lambda: "a session does not move with its worker" in server.log, 5)
        for one, pid in list(zip(there, where))[1:]:
            assert (one.pid == pid) == (pid != where[0])
        assert (tmp_path / "ended").read_text().split() == [str(where[0]), stuck_sid(tmp_path)]


def stuck_sid(directory: Path) -> str:
    return (directory / "ended").read_text().split()[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_drain_moves_clients(tmp_path: Path, workers: str) -> None:
    """Also where there is one worker: another one is started beside it."""
    ended = tmp_path / "ended"
    with (
        serving(
            tmp_path, GTHREAD, APP, workers=int(workers), ENDED=str(ended), HANGUP_HANDOVER="on"
        ) as server,
        guests(server.port, 6) as there,
    ):
        before = {one.pid for one in there}
        code = "import sys; sys.argv[0] = 'hangup'; from hangup._cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "drain", "--pid", str(server.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, (done.stdout, done.stderr, server.log)
        assert not {one.pid for one in there} & before
        assert not ended.exists()
        assert not any(one.heard for one in there)
        assert "Traceback" not in server.log


@pytest.mark.parametrize("stack", [GTHREAD, pytest.param(SYNC, marks=pytest.mark.slow)], ids=str)
def test_clients_of_a_worker_at_its_last_request_go_on(tmp_path: Path, stack: Stack) -> None:
    """``max_requests``, again and again."""
    ended, limit = tmp_path / "ended", ("--max-requests", "25", "--max-requests-jitter", "10")
    with (
        serving(tmp_path, stack, APP, *limit, ENDED=str(ended)) as server,
        guests(server.port, 2 * WORKERS) as there,
    ):
        while server.log.count("Worker exiting") < 2 * WORKERS:
            server.ask()
        assert all(one.pid for one in there)
        assert not any(one.heard for one in there)
        assert not ended.exists()
        assert "Traceback" not in server.log


def test_a_single_worker_at_its_last_request_does_not_wait_for_anybody(tmp_path: Path) -> None:
    """Nobody is served until it has left."""
    limit = ("--max-requests", "10")
    with (
        serving(tmp_path, GTHREAD, APP, *limit, workers=1, ENDED=os.devnull) as server,
        guests(server.port, 2) as there,
    ):
        first = server.ask()["pid"]
        while "Autorestarting" not in server.log:
            server.ask()
        began = time.monotonic()
        assert server.ask(wanted=str(first))["pid"] != first
        assert time.monotonic() - began < 10  # of the 30 that it may wait for its requests
        assert all(("disconnect", None) in one.heard for one in there)


def test_fewer_workers_serve_everybody(tmp_path: Path) -> None:
    """TTOU, down to one."""
    ended = tmp_path / "ended"
    with (
        serving(tmp_path, GTHREAD, APP, ENDED=str(ended)) as server,
        guests(server.port, 2 * WORKERS) as there,
    ):
        for left in range(WORKERS - 1, 0, -1):
            server.process.send_signal(signal.SIGTTOU)
            assert wait_until(lambda left=left: len(serving_pids(server)) == left, 20), server.log
            assert wait_until(lambda left=left: server.log.count("Worker exiting") == WORKERS - left, 20)
        assert {one.pid for one in there} == serving_pids(server)
        assert not any(one.heard for one in there)
        assert not ended.exists()


@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=lambda stack: stack.worker)
def test_other_websockets_are_told_one_after_the_other(tmp_path: Path, stack: Stack) -> None:
    """With 1012, while their handlers run, which would keep the worker."""
    pytest.importorskip("flask_sock")
    websocket = pytest.importorskip("websocket")
    with serving(tmp_path, stack, APP, workers=2, ENDED=os.devnull) as server:
        url = f"ws://127.0.0.1:{server.port}/plain"
        clients = [websocket.create_connection(url, timeout=15) for _ in range(6)]
        for client in clients:
            client.send("hello")
            assert client.recv() == "hello"
        before, moments = serving_pids(server), []
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        for client in clients:
            opcode, payload = client.recv_data()
            moments.append(time.monotonic())
            assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1012)
            client.shutdown()
        assert moments[-1] - moments[0] > 0.2  # of three seconds
        assert wait_until(lambda: not serving_pids(server) & before, 10), server.log
        assert "Traceback" not in server.log


def test_the_end_of_the_master_is_told_at_once(tmp_path: Path) -> None:
    """There is nobody to go to."""
    with (
        serving(tmp_path, GTHREAD, APP, ENDED=str(tmp_path / "ended")) as server,
        guests(server.port, 2 * WORKERS) as there,
    ):
        began = time.monotonic()
        server.process.terminate()
        assert wait_until(lambda: all(("disconnect", None) in one.heard for one in there), 10)
        server.process.wait(20)
        assert time.monotonic() - began < 10
        assert len((tmp_path / "ended").read_text().splitlines()) == 2 * WORKERS


def test_the_switch_has_clients_come_back_by_themselves(tmp_path: Path) -> None:
    """Closed with 1012, one after the other; and a word that is no switch is refused."""
    off = {"HANGUP_HANDOVER": "off", "ENDED": str(tmp_path / "ended")}
    with serving(tmp_path, GTHREAD, APP, **off) as server, guests(server.port, 2 * WORKERS) as there:
        where = [one.pid for one in there]
        replace_one(server, where[0])
        for one, pid in zip(there, where):
            if pid == where[0]:
                assert wait_until(lambda one=one: ("disconnect", None) in one.heard, 10)
            else:
                assert one.pid == pid
    refused = Gunicorn(tmp_path, "-c", "python:hangup.gunicorn", app=APP, HANGUP_HANDOVER="perhaps")
    assert refused.process.wait(20) != 0
    assert "HANGUP_HANDOVER='perhaps' is neither on nor off" in refused.log


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=lambda stack: stack.worker)
def test_ten_recycles_of_all_workers_under_load(
    tmp_path: Path, stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    """Each worker leaves, one after the other, ten times: 500 clients, and 50 broadcasts a second."""
    ended = tmp_path / "ended"
    with serving(tmp_path, stack, APP, ENDED=str(ended)) as server:
        with Crowd(server.port, 500, 2000, 20) as crowd:
            time.sleep(10)  # what is calm is measured meanwhile
            crowd.begin("rolling")
            for _ in range(10):
                for pid in serving_pids(server):
                    replace_one(server, pid)
            crowd.begin("calm again")
            time.sleep(5)
            assert not ended.exists(), ended.read_text()
            report = crowd.end()
        for phase, figures in report["phases"].items():
            record_property(phase, figures)  # milliseconds: shown, not judged
        notices_nothing(report, server)
        assert metrics.read(server.process.pid).total["sessions_moved"] >= 10 * 500


def test_a_new_master_takes_the_listener_over(tmp_path: Path) -> None:
    """USR2, then TERM to the old one: nobody who comes is refused."""
    # `python -m gunicorn` is executed again with gunicorn's own directory in front, which has a package `http`
    (tmp_path / "start.py").write_text("from gunicorn.app.wsgiapp import run\nrun()\n")
    arguments = ("--pid", str(tmp_path / "pid"))
    with serving(tmp_path, GTHREAD, APP, *arguments, command="start.py", ENDED=os.devnull) as server:
        refused: list[OSError] = []
        is_over = threading.Event()

        def come() -> None:
            while not is_over.is_set():
                try:
                    request = HTTPConnection("127.0.0.1", server.port, timeout=10)
                    request.request("GET", "/", headers={"Connection": "close"})
                    assert request.getresponse().read()
                    request.close()
                except OSError as error:
                    refused.append(error)

        coming = threading.Thread(target=come, daemon=True)
        coming.start()
        server.process.send_signal(signal.SIGUSR2)
        assert wait_until(lambda: (tmp_path / "pid.2").exists(), 20), server.log
        new = int((tmp_path / "pid.2").read_text())
        assert wait_until(lambda: all_serve(new), 20), server.log
        server.process.terminate()
        assert server.process.wait(20) == 0
        with Guest(server.port) as guest:
            assert guest.pid in metrics.read(new).serving
        is_over.set()
        coming.join(20)
        os.kill(new, signal.SIGTERM)
        assert wait_until(lambda: not Path(f"/proc/{new}").exists(), 20)
        assert refused == []


def all_serve(master: int) -> bool:
    with contextlib.suppress(LookupError):  # it has not begun to count
        return len(metrics.read(master).serving) == WORKERS
    return False
