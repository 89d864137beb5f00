"""A gunicorn's counters: through its hooks, however it is configured, and whatever happens to its workers."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from hangup.testing import connect, reset
from ops_client import UnixConnection, connects, get

WAYS = {
    "python:hangup.gunicorn": "",
    "star": "from hangup.gunicorn import *\n",
    "install": """
        def on_starting(server):
            server.log.info("theirs: on_starting")
        def post_fork(server, worker):
            server.log.info("theirs: post_fork")
        def child_exit(server, worker):
            server.log.info("theirs: child_exit")
        import hangup.gunicorn
        hangup.gunicorn.install(globals())
        hangup.gunicorn.install(globals())
        """,
    "replaced": """
        from hangup.gunicorn import *
        def post_fork(server, worker):
            pass
        def child_exit(server, worker):
            pass
        """,
}


VERSIONS = ["21.2.0", "23.0.0", "25.3.0", "27.0.1"]
#: All of them; on each change, each way and each version once.
CASES = [
    pytest.param(way, version, marks=[] if order == number else [pytest.mark.slow])
    for order, way in enumerate(WAYS)
    for number, version in enumerate(VERSIONS)
]


def started(server: Gunicorn, workers: int) -> None:
    """Waits until so many workers serve."""

    def serve() -> bool:
        if server.process.poll() is not None:
            raise AssertionError(f"gunicorn ended:\n{server.log}")
        try:
            return len(metrics.read(server.process.pid).serving) == workers
        except (LookupError, ProcessLookupError):
            return False

    assert wait_until(serve, 20), server.log


def configured(directory: Path, way: str) -> list[str]:
    if not WAYS[way]:
        return ["-c", way]
    (directory / "gunicorn.conf.py").write_text(textwrap.dedent(WAYS[way]))
    return ["-c", str(directory / "gunicorn.conf.py")]


@pytest.mark.parametrize(("way", "version"), CASES)
def test_the_totals_stay_through_kill_reload_and_term(tmp_path: Path, way: str, version: str) -> None:
    """Requests that were answered are counted once, whatever became of who answered them. Also when the user's own
    hooks have taken the place of ours.
    """
    args = [*configured(tmp_path, way), "-k", "gthread", "-w", "2", "--graceful-timeout", "5"]
    if version in ("23.0.0", "27.0.1"):
        args.append("--preload")
    with gunicorn(tmp_path, *args, version=version) as server:
        started(server, 2)
        before = set(metrics.read(server.process.pid).workers)
        for _ in range(10):
            victim = server.ask()["pid"]
        accepted = 10
        assert metrics.read(server.process.pid).total["accepted"] == accepted
        os.kill(victim, signal.SIGKILL)
        assert wait_until(lambda: len(_new(server, before)) == 1, 10), server.log
        family = metrics.read(server.process.pid)
        assert family.total["accepted"] == accepted
        assert family.dead["accepted"] + sum(w["accepted"] for w in family.workers.values()) == accepted
        assert family.dead["accepted"] > 0
        server.ask()
        before = set(family.workers)
        server.process.send_signal(signal.SIGHUP)
        assert wait_until(
            lambda: _new(server, before) == set(metrics.read(server.process.pid).workers), 20
        ), server.log
        started(server, 2)
        family = metrics.read(server.process.pid)
        assert family.total["accepted"] == family.dead["accepted"] == accepted + 1
        assert family.total["open"] == 0
        assert server.end() == 0
        assert "Traceback" not in server.log
        if way == "install":
            counts = [
                server.log.count(f"theirs: {name}") for name in ("on_starting", "post_fork", "child_exit")
            ]
            assert counts[:2] == [1, 5]
            assert counts[2] >= 3


def _new(server: Gunicorn, before: set[int]) -> set[int]:
    return set(metrics.read(server.process.pid).workers) - before


@pytest.mark.parametrize(
    "worker",
    ["gevent", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sync", "eventlet", "asgi"))],
)
def test_every_worker_says_that_it_serves(tmp_path: Path, worker: str) -> None:
    """Also those whose connections are stock: then nothing but that."""
    if worker in ("gevent", "eventlet"):
        pytest.importorskip(worker)
    version = "25.3.0" if worker == "eventlet" else "27.0.1"
    with gunicorn(tmp_path, "-c", "python:hangup.gunicorn", "-k", worker, version=version) as server:
        started(server, 1)


ASGI = """
import logging, os
import hangup, hangup.asgi

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-pid", b"%d" % os.getpid())]})
    try:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"y"})
    except hangup.PeerGone:
        logging.getLogger("gunicorn.error").exception("the stream ended")

app = hangup.asgi.Hangup(app, raise_gone=True)
"""


def test_what_python_counts_stays_as_well(tmp_path: Path) -> None:
    """Log records that were demoted, and what was sent to clients of an ASGI server that had left: in /metrics of the
    master, also when the worker that counted it was killed.
    """
    if sys.version_info < (3, 10):
        pytest.skip("gunicorn's asgi worker needs Python 3.10")
    path = str(tmp_path / "metrics.sock")
    args = ("-c", "python:hangup.gunicorn", "-k", "asgi", "-w", "2")
    with gunicorn(tmp_path, *args, app=ASGI, HANGUP_METRICS=f"unix:{path}") as server:
        started(server, 2)
        victims = set()
        for _ in range(3):
            client = connect(("127.0.0.1", server.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with client.makefile("rb") as answer:
                victims.add(
                    next(int(line.partition(b":")[2]) for line in answer if line.startswith(b"x-pid"))
                )
            reset(client)

        def total(name: str) -> int:
            return metrics.read(server.process.pid).total[name]

        assert wait_until(lambda: total("log_demoted") == 3, 10), server.log
        sent = total("asgi_sends_after_gone")
        assert sent == 3
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        assert wait_until(lambda: not victims & set(metrics.read(server.process.pid).workers), 10)
        family = metrics.read(server.process.pid)
        assert (family.dead["log_demoted"], family.dead["asgi_sends_after_gone"]) == (3, sent)
        started(server, 2)
        connection = UnixConnection(path, timeout=10)
        assert wait_until(lambda: connects(path), 10), server.log
        text = get(connection, "/metrics")[1]
        connection.close()
        assert "Traceback" not in server.log
        assert "hangup_log_demoted_total 3\n" in text
        assert f"hangup_asgi_sends_after_gone_total {sent}\n" in text


@pytest.mark.parametrize("switch", ["off", "observe"])
def test_the_switch_leaves_no_memory_behind(tmp_path: Path, switch: str) -> None:
    """HANGUP=off makes no family, and no process beside it."""
    with gunicorn(tmp_path, "-c", "python:hangup.gunicorn", HANGUP=switch, HANGUP_METRICS="1") as server:
        server.ask()
        with pytest.raises(LookupError):
            metrics.read(server.process.pid)
