"""``hangup watch -- gunicorn …``: signals, exit statuses, whoever comes after the master; and a gunicorn that runs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drill import APP, QUICK, config, free_port, get, service, watch
from hangup._demo.server import wait_until
from hangup._watch import processes


def test_signals_go_on_to_the_gunicorn_and_its_exit_status_comes_back(tmp_path: Path) -> None:
    with service(tmp_path, "--workers", "1") as (watched, port):
        assert wait_until(lambda: get(port) is not None, 20)
        os.kill(watched.process.pid, signal.SIGTTIN)
        assert wait_until(lambda: len(watched.workers()) == 2, 10)
        os.kill(watched.process.pid, signal.SIGTTOU)
        assert wait_until(lambda: len(watched.workers()) == 1, 10)
        first = watched.workers()
        os.kill(watched.process.pid, signal.SIGHUP)
        assert wait_until(lambda: watched.workers() not in ([], first) and get(port) is not None, 20)
        master = watched.master
        os.kill(watched.process.pid, signal.SIGINT)
        assert watched.process.wait(20) == 0
        assert processes.process(master) is None


def test_a_master_that_was_killed_is_started_again_and_its_orphans_do_not_stay(tmp_path: Path) -> None:
    with service(tmp_path, "--workers", "2") as (watched, port):
        assert wait_until(lambda: get(port) is not None and len(watched.workers()) == 2, 20)
        before, workers = watched.master, watched.workers()
        os.kill(before, signal.SIGKILL)
        watched.wait("recovered", 40)
        assert watched.remedies == ["restart"]
        assert watched.master != before
        assert not [pid for pid in workers if processes.process(pid)]
        assert get(port) is not None


@pytest.mark.slow
def test_a_master_that_takes_over_is_the_one_that_is_watched(tmp_path: Path) -> None:
    """USR2 to the watch, then QUIT to the old master, as its documentation has it."""
    with service(tmp_path, "--workers", "1", "--pid", str(tmp_path / "pid")) as (watched, port):
        assert wait_until(lambda: get(port) is not None, 20)
        old = watched.master
        os.kill(watched.process.pid, signal.SIGUSR2)
        assert wait_until(lambda: (tmp_path / "pid.2").exists(), 20)
        new = int((tmp_path / "pid.2").read_text())
        assert wait_until(lambda: bool(processes.children(new)), 20)
        os.kill(old, signal.SIGQUIT)
        assert wait_until(lambda: watched.master == new, 20)
        assert get(port) is not None
        assert watched.remedies == []
        assert watched.end() == 0
        assert processes.process(new) is None


def test_a_gunicorn_that_a_script_started_is_found_below_it(tmp_path: Path) -> None:
    """It gets the signals, and the script's status comes back."""
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    line = f"{shlex.quote(sys.executable)} -m gunicorn -b 127.0.0.1:{port} served:app; exit 7"
    with watch(tmp_path, *QUICK, "--state", "off", "--", "sh", "-c", line) as watched:
        assert wait_until(lambda: get(port) is not None and processes.is_gunicorn(watched.master), 20)
        assert watched.workers()
        before = watched.workers()
        os.kill(watched.process.pid, signal.SIGHUP)
        assert wait_until(lambda: watched.workers() not in ([], before), 20)
        assert watched.remedies == []
        assert watched.end() == 7


def test_a_gunicorn_that_ends_well_by_itself_is_not_started_again(tmp_path: Path) -> None:
    with service(tmp_path, "--workers", "1") as (watched, port):
        assert wait_until(lambda: get(port) is not None, 20)
        os.kill(watched.master, signal.SIGTERM)
        assert watched.process.wait(20) == 0
        assert watched.remedies == []


def test_a_command_that_is_not_there_is_status_two(tmp_path: Path) -> None:
    with watch(tmp_path, *QUICK, "--state", "off", "--", "/no/such/gunicorn") as watched:
        assert watched.process.wait(20) == 2
        assert "No such file" in watched.said
        assert "Traceback" not in watched.said


def test_two_watches_do_not_look_after_one_service(tmp_path: Path) -> None:
    with service(tmp_path, "--workers", "1") as (watched, port):
        assert wait_until(lambda: get(port) is not None, 20)
        words = ("--pid", str(watched.master), "--state", str(tmp_path / "state.json"))
        (tmp_path / "two").mkdir()
        with watch(tmp_path / "two", *words) as second:
            assert second.process.wait(20) == 2
            assert "another watch" in second.said


@pytest.mark.slow
def test_a_running_gunicorn_is_found_by_its_pid_file_and_restarted_by_a_command(tmp_path: Path) -> None:
    """Within a budget that the next watch remembers."""
    (tmp_path / "app.py").write_text("def app(environ, start_response):\n"
                                     "    start_response('200 OK', [])\n    return [b'x']\n")  # fmt: skip
    port, pid_file = free_port(), tmp_path / "gunicorn.pid"
    start = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--pid", str(pid_file), "--chdir",
             str(tmp_path), "--error-logfile", str(tmp_path / "errors"), "--daemon", "app:app"]  # fmt: skip
    subprocess.run(start, check=True)
    assert wait_until(lambda: get(port) is not None, 20)
    options = (*QUICK, "--pid-file", str(pid_file), "--restart-command", shlex.join(start), "--restarts", "1",
               "--state", str(tmp_path / "state.json"))  # fmt: skip
    try:
        with watch(tmp_path, *options) as watched:
            watched.wait("note", text="watching")
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            watched.wait("recovered", 40)
            assert watched.remedies == ["restart"]
            assert get(port) is not None
        (tmp_path / "decisions").rename(tmp_path / "first")
        with watch(tmp_path, *options) as again:
            again.wait("note", text="watching")
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            again.wait("hold", 30, text="the budget is spent")
            assert again.remedies == []
    finally:
        pid = int(pid_file.read_text()) if pid_file.exists() else 0
        if pid and processes.process(pid):
            os.kill(pid, signal.SIGTERM)
            assert wait_until(lambda: processes.process(pid) is None, 20)


def test_a_process_that_ended_and_cannot_be_started_ends_its_watch(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with watch(tmp_path, *QUICK, "--state", "off", "--pid", str(process.pid)) as watched:
                watched.wait("note", text="watching")
                process.kill()
                process.wait()
                assert watched.process.wait(20) == 1
                assert "neither a unit nor a --restart-command" in watched.said
        finally:
            process.kill()


def test_what_is_no_gunicorn_gets_no_signals_of_gunicorns(tmp_path: Path) -> None:
    """HUP would be its end."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            options = (
                "--state",
                "off",
                "--pid",
                str(process.pid),
                "--config",
                str(config(tmp_path, boot_within=0.5)),
            )
            with watch(tmp_path, *QUICK, *options) as watched:
                held = watched.wait("hold", 20)
                assert "reload: it is not known to be a gunicorn: HUP might end it" in held["skipped"]
                assert (watched.remedies, process.poll()) == ([], None)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_watch_that_is_told_to_end_leaves_a_running_service_alone(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with watch(tmp_path, *QUICK, "--state", "off", "--pid", str(process.pid)) as watched:
                watched.wait("note", text="watching")
                os.kill(watched.process.pid, number)
                assert watched.process.wait(10) == 0
                assert process.poll() is None
        finally:
            process.kill()


@pytest.mark.slow
def test_sockets_that_systemd_passes_arrive_at_the_gunicorn(tmp_path: Path) -> None:
    """As a socket unit does it: descriptor 3, and the number of the process it is meant for."""
    (tmp_path / "app.py").write_text("def app(environ, start_response):\n"
                                     "    start_response('200 OK', [])\n    return [b'x']\n")  # fmt: skip
    port = free_port()
    code = (
        "import os, socket, sys\n"
        f"listener = socket.create_server(('127.0.0.1', {port}))\n"
        "os.dup2(listener.fileno(), 3)\nos.set_inheritable(3, True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    main = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
    words = [sys.executable, "-c", code, "-c", main, "watch", *QUICK, "--state", "off", "--",
             sys.executable, "-m", "gunicorn", "app:app"]  # fmt: skip
    process = subprocess.Popen(words, cwd=tmp_path, close_fds=False)
    try:
        assert wait_until(lambda: get(port) is not None, 20)
    finally:
        process.terminate()
        assert process.wait(30) == 0
