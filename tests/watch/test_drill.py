"""The fault drill: real gunicorns that fall ill, with a healthy client beside, which must not notice a mild remedy."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drill import Client, config, free_port, get, healthy_client, service, strike
from hangup._demo.server import wait_until
from hangup._watch import processes
from hangup._watch.attached import Attached
from hangup._watch.core import Decision
from hangup._watch.ladder import Rung
from hangup._watch.remedies import Remedies
from hangup._watch.settings import Settings
from hangup._watch.signals import Look

GTHREAD = ("-k", "gthread", "--threads", "8", "--workers", "2", "--timeout", "120")
GEVENT = ("-k", "gevent", "--workers", "2", "--timeout", "120")
STACKS = [
    pytest.param("27.0.1", GTHREAD, id="27-gthread"),
    pytest.param("27.0.1", GEVENT, id="27-gevent", marks=pytest.mark.slow),
    pytest.param("21.2.0", GTHREAD, id="21-gthread", marks=pytest.mark.slow),
    pytest.param("21.2.0", GEVENT, id="21-gevent", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("version", "worker"), STACKS)
def test_a_worker_that_hangs_in_c_is_replaced_and_nobody_else_notices(
    tmp_path: Path, version: str, worker: tuple[str, ...]
) -> None:
    if "gevent" in worker:
        pytest.importorskip("gevent")
    options = ("--hung-after", "2.5", "--config", str(config(tmp_path, hung_patience=1.0)))
    with service(tmp_path, *worker, options=options, version=version) as (watched, port):
        with healthy_client(port) as client:
            strike(port, "/hang?", client.worker, lambda answer: answer is None)
            recovered = watched.wait("recovered", 40)
            echoes = client.echoes
            assert wait_until(lambda: client.echoes > echoes + 5, 10)
            assert client.disconnects == 0
            assert client.worker in watched.workers()
        assert watched.remedies == ["recycle", "kill"], watched.said
        assert wait_until(lambda: get(port) is not None, 10)
        print(f"recovered after {recovered['seconds']} s")


@pytest.mark.parametrize(("version", "worker"), [STACKS[0], STACKS[-1]])
def test_a_worker_that_leaks_descriptors_is_recycled_and_nobody_else_notices(
    tmp_path: Path, version: str, worker: tuple[str, ...]
) -> None:
    if "gevent" in worker:
        pytest.importorskip("gevent")
    with (
        service(tmp_path, *worker, limit=256, version=version) as (watched, port),
        healthy_client(port) as client,
    ):
        strike(
            port,
            "/leak?n=210&",
            client.worker,
            lambda answer: answer not in (None, str(client.worker).encode()),
        )
        act = watched.wait("act")
        recovered = watched.wait("recovered", 40)
        assert client.disconnects == 0
        assert client.worker in watched.workers()
        assert watched.remedies == ["recycle"], watched.said
        assert act["worker"] != client.worker
        assert any("no control socket" in text for text in act["skipped"])
        print(f"recovered after {recovered['seconds']} s")


def test_silent_clients_of_a_stock_gunicorn_are_no_reason_to_drop_the_others(tmp_path: Path) -> None:
    options = ("--silent-for", "1", "--zombies", "5")
    worker = ("-k", "gthread", "--threads", "20", "--workers", "1")
    with service(tmp_path, *worker, options=options) as (watched, port), healthy_client(port) as client:
        silent = [Client(port) for _ in range(8)]
        try:
            for one in silent:
                one._ended.set()
            held = watched.wait("hold", 30)
            assert any("no control socket" in text for text in held["skipped"]), held
            assert watched.remedies == []
            assert client.disconnects == 0
        finally:
            for one in silent:
                one.end()


def test_an_application_that_crashes_at_boot_is_given_up_within_the_budget(tmp_path: Path) -> None:
    """With gunicorn's own status; another watch remembers that the budget is spent."""
    settings = ("--restarts", "2", "--config", str(config(tmp_path, backoff=0.2)))
    for starts in (3, 1):
        with service(tmp_path, "--workers", "1", options=settings, CRASHES_AT_BOOT="1") as (watched, _):
            assert watched.process.wait(60) == 3, watched.said
            assert "budget is spent" in watched.said
        assert (tmp_path / "errors").read_text().count("Starting gunicorn") == starts
        (tmp_path / "errors").unlink()
        (tmp_path / "decisions").unlink()


@pytest.mark.slow
def test_while_somebody_else_has_the_port_nothing_is_started_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with service(tmp_path, "--workers", "1", port=port) as (watched, _):
            held = watched.wait("hold", 40, text="belongs to process")
            assert f"port {port} belongs to process {os.getpid()}" in " ".join(held["reasons"])
            assert watched.remedies == []
            stranger.close()
            watched.wait("recovered", 40)
            assert get(port) is not None
            assert watched.remedies == ["restart"]


@pytest.mark.slow
def test_a_service_of_which_nobody_answers_is_restarted(tmp_path: Path) -> None:
    """Where no worker may be recycled any more."""
    options = ("--recycles", "0", "--restarts", "1", "--config", str(config(tmp_path, graceful=3)))
    access = tmp_path / "access"
    with service(tmp_path, *GTHREAD, "--access-logfile", str(access), options=options) as (watched, port):
        assert wait_until(lambda: access.exists() and "hangup-watch" in access.read_text(), 30)
        assert wait_until(lambda: len(watched.workers()) == 2, 30)
        before = watched.workers()
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        act = watched.wait("act", 40)
        assert (act["remedy"], act["symptoms"][-1]) == ("restart", "unanswered")
        print(f"recovered after {watched.wait('recovered', 60, text='unanswered')['seconds']} s")
        assert get(port) is not None
        assert not [pid for pid in before if processes.process(pid)]


@pytest.mark.slow
def test_a_reload_replaces_all_workers_and_nobody_is_refused(tmp_path: Path) -> None:
    with service(tmp_path, *GTHREAD) as (watched, port):
        assert wait_until(lambda: get(port) is not None and len(watched.workers()) == 2, 30)
        before, told = set(watched.workers()), []
        remedies = Remedies(Attached(pid=watched.master), told.append)
        remedies.carry_out(Decision(0.0, "act", rung=Rung.RELOAD), Look(0.0), Settings())
        while before & set(watched.workers()):
            assert get(port) is not None
        assert told == ["asking the master to reload (HUP)"]
        assert watched.remedies == []


@pytest.mark.slow
def test_with_redis_down_nothing_is_restarted(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    redis = free_port()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(run_redis(redis, tmp_path))
        url = f"redis://127.0.0.1:{redis}"
        watched, port = stack.enter_context(service(tmp_path, *GTHREAD, REDIS_URL=url))
        client = stack.enter_context(healthy_client(port))
        assert wait_until(lambda: bool(watched.master), 20)
        watched.wait("note", text="watching")
        stop(first)
        held = watched.wait("hold", 30, text="would not help")
        assert f"redis://127.0.0.1:{redis}" in " ".join(held["reasons"])
        assert client.disconnects == 0
        stack.enter_context(run_redis(redis, tmp_path))
        watched.wait("recovered", 30)
        assert watched.remedies == []
        assert client.disconnects == 0


@contextlib.contextmanager
def run_redis(port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis that has no file."""
    words = [
        "redis-server",
        "--port",
        str(port),
        "--save",
        "",
        "--bind",
        "127.0.0.1",
        "--dir",
        str(directory),
    ]
    redis = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: listens(port), 10)
        yield redis
    finally:
        stop(redis)


def stop(process: subprocess.Popen[bytes]) -> None:
    """By its number; it may have ended."""
    if process.poll() is None:
        process.kill()
    process.wait()


def listens(port: int) -> bool:
    """Whether anybody does there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full; without the right to mount one, there is none."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "hangup-test", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        end = time.monotonic() + 10
        while subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode:
            assert time.monotonic() < end


@pytest.mark.slow
def test_with_a_full_disk_nothing_is_restarted(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with service(tmp_path / "here", *GTHREAD, WRITES_TO=str(small_disk / "data"), options=(
        "--error-log", str(small_disk / "log"),
    )) as (watched, port):  # fmt: skip
        with healthy_client(port) as client:
            ballast = small_disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            assert wait_until(lambda: get(port) is None, 10)
            held = watched.wait("hold", 30)
            assert "no space is left" in " ".join(held["reasons"])
            assert client.disconnects == 0
            ballast.unlink()
            watched.wait("recovered", 30)
            assert get(port) is not None
            assert client.disconnects == 0
        assert watched.remedies == []
        assert watched.end() == 0


@pytest.mark.slow
def test_a_watch_that_cannot_write_its_decisions_goes_on(small_disk: Path) -> None:
    with service(small_disk, *GTHREAD, WRITES_TO=str(small_disk / "data")) as (watched, port):
        assert wait_until(lambda: get(port) is not None, 30)
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        assert wait_until(lambda: get(port) is None, 10)
        assert not wait_until(lambda: watched.process.poll() is not None, 4)
        ballast.unlink()
        watched.wait("recovered", 30)


@pytest.mark.slow
def test_a_watch_that_may_not_look_into_a_service_still_asks_it(tmp_path: Path) -> None:
    """As for another user's: nothing is concluded from what is hidden."""
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("needs root, and setpriv to be less than that")
    with service(tmp_path, *GTHREAD) as (watched, port):
        assert wait_until(lambda: get(port) is not None, 30)
        code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
        once = [sys.executable, "-c", code, "watch", "--once", "-f", "json", "--pid", str(watched.master)]
        bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        done = subprocess.run([*bound, *once], capture_output=True, text=True, check=False, cwd=tmp_path)
        told = json.loads(done.stdout)
        assert (done.returncode, told["findings"], told["service"]["faults"]) == (0, [], []), told
        assert told["service"]["probes"]["http"]["outcome"] == "ok"
