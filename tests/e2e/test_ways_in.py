"""The three ways in, the switch, and what is left alone, on real gunicorn."""

from __future__ import annotations

import json
import signal
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import gunicorn
from hangup._demo.server import wait_until


def configuration(directory: Path, text: str) -> str:
    path = directory / "gunicorn.conf.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


GUARDED = "hangup._gunicorn.faces.ApplicationSocket"


@pytest.mark.parametrize("version", ["21.2.0", "23.0.0", "25.3.0", "27.0.1"])
@pytest.mark.parametrize("way", ["python:hangup.gunicorn", "star", "install"])
def test_each_way_in_guards_the_connections(tmp_path: Path, way: str, version: str) -> None:
    """The application is given its own face, and status() says which worker is guarded."""
    texts = {
        "star": "from hangup.gunicorn import *\nworkers = 1\n",
        "install": "import hangup.gunicorn\nhangup.gunicorn.install(globals())\n",
    }
    conf = configuration(tmp_path, texts[way]) if way in texts else way
    with gunicorn(tmp_path, "-c", conf, "-k", "gthread", "--threads", "2", version=version) as server:
        facts = server.ask()
    assert facts["socket"] == GUARDED
    told = facts["status"]["integrations"]["gunicorn"]
    assert told["state"] == "on"
    assert told["worker"] == "gunicorn.workers.gthread.ThreadWorker"
    assert told["version"] == version


def test_install_chains_the_hooks_that_are_there(tmp_path: Path) -> None:
    """The user's on_starting runs as well, and the guarded class has the user's class behind it."""
    conf = configuration(
        tmp_path,
        """
        def on_starting(server):
            server.log.info("theirs ran")
        import hangup.gunicorn
        hangup.gunicorn.install(globals())
        hangup.gunicorn.install(globals())
        """,
    )
    with gunicorn(tmp_path, "-c", conf) as server:
        assert server.ask()["socket"] == GUARDED
        assert server.log.count("theirs ran") == 1
        assert server.log.count("hangup: guarding") == 1


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_a_reload_keeps_the_guard(tmp_path: Path, version: str) -> None:
    """After HUP the configuration is read again, and new workers are guarded too."""
    conf = configuration(tmp_path, "from hangup.gunicorn import *\n")
    with gunicorn(tmp_path, "-c", conf, version=version) as server:
        first = server.ask()["pid"]
        server.process.send_signal(signal.SIGHUP)
        again = server.ask(wanted=str(first))
        assert again["pid"] != first
        assert again["socket"] == GUARDED


@pytest.mark.parametrize("switch", ["off", "observe"])
def test_the_switch_leaves_everything_stock(tmp_path: Path, switch: str) -> None:
    """HANGUP=off and HANGUP=observe: the application is given gunicorn's own socket."""
    with gunicorn(tmp_path, "-c", "python:hangup.gunicorn", HANGUP=switch) as server:
        facts = server.ask()
    assert facts["socket"] == "socket.socket"
    assert facts["status"]["integrations"]["gunicorn"]["state"] == "off"
    assert facts["status"]["mode"] == switch


def test_off_answers_byte_for_byte_as_stock(tmp_path: Path) -> None:
    """The log and the response of HANGUP=off are those of a gunicorn without hangup."""
    texts = []
    for name, args, env in (("stock", (), {}), ("off", ("-c", "python:hangup.gunicorn"), {"HANGUP": "off"})):
        directory = tmp_path / name
        directory.mkdir()
        # 23: later ones print a line of their control socket at a moment of its own choosing.
        with gunicorn(directory, *args, version="23.0.0", **env) as server:
            facts = server.ask()
            server.end()
            lines = [line.partition("] [")[2].partition("] ")[2] for line in server.log.splitlines()]
            texts.append([facts["socket"], *(line.split(":")[0].split(" (")[0] for line in lines)])
    unnumbered = [["".join(c for c in line if not c.isdigit()) for line in text] for text in texts]
    assert unnumbered[0] == unnumbered[1]


@pytest.mark.parametrize("worker", ["tornado", "asgi"])
def test_workers_that_own_their_sockets_otherwise_are_left_alone(tmp_path: Path, worker: str) -> None:
    """tornado and asgi are served stock: an INFO, and no WARNING."""
    if worker == "tornado":
        pytest.importorskip("tornado")
    # A worker that is told to leave while it boots does not hear it: gunicorn's limit ends that.
    chosen = ["-c", "python:hangup.gunicorn", "-k", worker, "--graceful-timeout", "3"]
    with gunicorn(tmp_path, *chosen) as server:
        assert wait_until(lambda: "Booting worker" in server.log, 20), server.log
        assert "[INFO] hangup: workers are served stock" in server.log
        assert "[WARNING] hangup" not in server.log


@pytest.mark.parametrize("worker", ["Homemade", "Mine"])
def test_a_worker_of_ones_own_is_guarded_if_its_base_is_known(tmp_path: Path, worker: str) -> None:
    """A subclass of a known worker is guarded; one from scratch is served stock, with one WARNING."""
    (tmp_path / "workers.py").write_text(
        textwrap.dedent(
            """
            from gunicorn.workers import base, sync
            class Mine(sync.SyncWorker):
                pass
            own = {name: value for name, value in vars(sync.SyncWorker).items() if not name.startswith("__")}
            Homemade = type("Homemade", (base.Worker,), own)
            """
        )
    )
    with gunicorn(tmp_path, "-c", "python:hangup.gunicorn", "-k", f"workers.{worker}") as server:
        facts = server.ask()
        assert (facts["socket"] == GUARDED) == (worker == "Mine")
        told = facts["status"]["integrations"]["gunicorn"]
        assert told["state"] == ("on" if worker == "Mine" else "stock")
        assert ("Homemade" in told["reason"]) == (worker == "Homemade")
        warnings = [line for line in server.log.splitlines() if "[WARNING] hangup" in line]
        assert len(warnings) == (1 if worker == "Homemade" else 0)


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_a_preloaded_application_is_served_by_guarded_workers(
    tmp_path: Path, worker: str, version: str
) -> None:
    """preload_app imports everything before fork; each worker has its own ledger and engine."""
    if worker == "gevent":
        pytest.importorskip("gevent")
    args = ("-c", "python:hangup.gunicorn", "-k", worker, "--preload", "-w", "2")
    with gunicorn(tmp_path, *args, version=version) as server:
        first = server.ask()["pid"]
        assert server.ask(wanted=str(first))["socket"] == GUARDED
        assert server.end() == 0
        assert "Traceback" not in server.log


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_tls_listeners_go_on_working_stock(tmp_path: Path, worker: str) -> None:
    """TLS connections are served by gunicorn's own sockets, and status() says so."""
    import ssl

    if worker == "gevent":
        pytest.importorskip("gevent")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=localhost"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not installed")
    args = ("--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem"), "-k", worker)
    with gunicorn(tmp_path, "-c", "python:hangup.gunicorn", *args) as server:
        assert wait_until(lambda: "Booting worker" in server.log, 20), server.log
        import http.client

        port = int(server.log.partition("Listening at: https://127.0.0.1:")[2].partition(" ")[0])
        context = ssl._create_unverified_context()
        facts: dict[str, Any] = {}

        def answered() -> bool:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
            try:
                connection.request("GET", "/")
                facts.update(json.loads(connection.getresponse().read()))
            except ConnectionError:
                return False
            finally:
                connection.close()
            return True

        assert wait_until(answered, 10), server.log
    told = facts["status"]["integrations"]["gunicorn"]
    assert told["tls"].startswith("stock")
    assert "SSLSocket" in facts["socket"]
