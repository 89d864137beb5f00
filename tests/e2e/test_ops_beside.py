"""What serves ``/metrics`` beside a gunicorn master: it answers, comes back when it is killed, ends with the master."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from http.client import HTTPException
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from hangup.testing import connect
from ops_client import UnixConnection, connects, get
from test_metrics_gunicorn import VERSIONS, started


@pytest.mark.parametrize("version", [pytest.param("21.2.0", marks=pytest.mark.slow), "27.0.1"])
def test_metrics_and_health_are_served_beside_the_master(tmp_path: Path, version: str) -> None:
    """/metrics, /livez and /readyz on a Unix socket; they end with the master, and do not stop the next one's."""
    path = str(tmp_path / "metrics.sock")
    conf = tmp_path / "gunicorn.conf.py"
    conf.write_text(f"import hangup.gunicorn\nhangup.gunicorn.install(globals(), metrics='unix:{path}')\n")
    for _ in range(2):
        with gunicorn(tmp_path, "-c", str(conf), "-w", "2", version=version) as server:
            started(server, 2)
            for _ in range(3):
                server.ask()
            connection = UnixConnection(path, timeout=10)
            assert wait_until(lambda: connects(path), 10), server.log
            status, text = get(connection, "/metrics")
            assert status == 200
            assert "hangup_accepted_total 3\n" in text
            assert "hangup_workers_serving 2\n" in text
            assert get(connection, "/livez") == (200, "ok\n")
            assert get(connection, "/readyz") == (200, "ok: workers that serve: 2\n")
            assert get(connection, "/")[0] == 404
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                # it stops when it is scheduled next
                assert wait_until(functools.partial(is_dead, connection), 10)
                assert get(connection, "/readyz")[0] == 200  # its workers go on
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            assert server.end() == 0
            connection.close()
        assert wait_until(lambda: not connects(path), 10)
        assert "Traceback" not in server.log


def children(pid: int) -> dict[int, str]:
    """Processes that it started, and their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def beside(server: Gunicorn) -> int:
    """The process that serves /metrics; 0 if there is none."""
    return next(
        (pid for pid, command in children(server.process.pid).items() if "hangup._ops_server" in command), 0
    )


COUNTING = """
import hangup.gunicorn
def child_exit(server, worker):
    server.log.info("theirs: child_exit")
hangup.gunicorn.install(globals())
"""


@pytest.mark.parametrize(
    ("version", "times"),
    [("27.0.1", 1), *(pytest.param(version, 2, marks=pytest.mark.slow) for version in VERSIONS)],
)
def test_what_serves_beside_the_master_comes_back(tmp_path: Path, version: str, times: int) -> None:
    """After kill -9: once in five seconds, with one line each, and gunicorn takes it for none of its workers."""
    path = str(tmp_path / "metrics.sock")
    (tmp_path / "conf.py").write_text(COUNTING)
    args = ("-c", str(tmp_path / "conf.py"), "-w", "2", "--log-level", "debug")
    with gunicorn(tmp_path, *args, version=version, HANGUP_METRICS=f"unix:{path}") as server:
        started(server, 2)
        workers = set(metrics.read(server.process.pid).workers)
        came: list[float] = []
        for kills in range(1, times + 1):
            assert wait_until(lambda: connects(path), 10), server.log
            victim = beside(server)
            os.kill(victim, signal.SIGKILL)
            assert wait_until(lambda: beside(server) not in (0, victim), 15), server.log  # noqa: B023
            came.append(time.monotonic())
            line = "had ended: started again"
            assert wait_until(lambda: server.log.count(line) == kills, 10), server.log  # noqa: B023
            assert "SIGKILL" not in server.log
            assert not Path(f"/proc/{victim}").exists()
        assert times == 1 or came[1] - came[0] > 4
        assert wait_until(lambda: connects(path), 10), server.log
        assert set(metrics.read(server.process.pid).workers) == workers
        assert "theirs: child_exit" not in server.log
        assert "unknown child" not in server.log
        assert server.end() == 0
    assert wait_until(lambda: not connects(path), 10)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_a_killed_master_leaves_nothing_behind(tmp_path: Path, version: str) -> None:
    """Its workers see it and leave, what serves beside it as well: with the socket, and the memory."""
    path = tmp_path / "metrics.sock"
    args = ("-c", "python:hangup.gunicorn", "-k", "gthread", "-w", "2")
    with gunicorn(tmp_path, *args, version=version, HANGUP_METRICS=f"unix:{path}") as server:
        started(server, 2)
        assert wait_until(lambda: connects(str(path)), 10), server.log
        family = set(children(server.process.pid))
        assert len(family) == 3
        server.process.kill()
        server.process.wait()
        assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 30), family
        assert not path.exists()
        assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_master_counts_anew_and_serves_metrics_when_it_is_alone(
    tmp_path: Path, version: str
) -> None:
    """USR2, then QUIT: two masters side by side, each with its own counters; the address is handed over."""
    path = tmp_path / "metrics.sock"
    # `python -m gunicorn` is executed again with gunicorn's own directory in front, which has a package `http`
    (tmp_path / "start.py").write_text("from gunicorn.app.wsgiapp import run\nrun()\n")
    args = ("-c", "python:hangup.gunicorn", "-k", "gthread", "-w", "2")
    with gunicorn(
        tmp_path, *args, version=version, command="start.py", HANGUP_METRICS=f"unix:{path}"
    ) as server:
        started(server, 2)
        old = server.process.pid
        for _ in range(3):
            server.ask()
        assert wait_until(lambda: connects(str(path)), 10), server.log
        former = set(children(old))
        server.process.send_signal(signal.SIGUSR2)

        def newer() -> int:
            masters = [pid for pid in set(children(old)) - former if len(children(pid)) == 3]
            return masters[0] if masters else 0

        assert wait_until(lambda: newer() != 0, 20), server.log
        new = newer()
        try:
            assert wait_until(lambda: len(metrics.read(new).serving) == 2, 20), server.log
            assert metrics.read(old).total["accepted"] == 3
            assert metrics.read(new).total["accepted"] == 0
            connection = UnixConnection(str(path), timeout=10)
            assert "hangup_accepted_total 3\n" in get(connection, "/metrics")[1]
            connection.close()
            server.process.send_signal(signal.SIGQUIT)
            assert server.process.wait(30) == 0
            assert wait_until(lambda: serves(path, "hangup_workers_serving 2"), 10), server.log
            before = metrics.read(new).total["accepted"]
            with connect(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(7) == b"HTTP/1."
            assert wait_until(lambda: serves(path, f"hangup_accepted_total {before + 1}"), 10), server.log
        finally:
            os.kill(new, signal.SIGTERM)
            assert wait_until(lambda: not Path(f"/proc/{new}").exists() or is_zombie(new), 30)
        assert wait_until(lambda: not path.exists(), 10)
        assert "Traceback" not in server.log


def is_zombie(pid: int) -> bool:
    """It has ended, and whoever inherited it has not asked."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def serves(path: Path, line: str) -> bool:
    """Whether there is a /metrics that says so."""
    connection = UnixConnection(str(path), timeout=10)
    try:
        return f"{line}\n" in get(connection, "/metrics")[1]
    except (OSError, HTTPException):  # its process may end in between
        return False
    finally:
        connection.close()


def is_dead(connection: UnixConnection) -> bool:
    return get(connection, "/livez")[0] == 503


def test_readyz_is_503_without_a_worker(tmp_path: Path) -> None:
    """Workers that do not come so far: the master lives, and nobody serves."""
    path = str(tmp_path / "metrics.sock")
    app = "import time\ntime.sleep(60)\n"
    args = ("-c", "python:hangup.gunicorn", "--graceful-timeout", "1")
    with gunicorn(tmp_path, *args, app=app, HANGUP_METRICS=f"unix:{path}") as server:
        assert wait_until(lambda: connects(path), 20), server.log
        connection = UnixConnection(path, timeout=10)
        assert get(connection, "/livez")[0] == 200
        assert get(connection, "/readyz") == (503, "no worker serves\n")
        connection.close()
