"""``hangup doctor`` as people run it: a process, real files, its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doctor.projects import FLASK, NGINX, REQUIREMENTS, STOCK, UNDER_SYSTEMD
from doctor.test_planted import write
from hangup._doctor.registry import rules

pytest.importorskip("crossplane")
pytest.importorskip("yaml")

RUN = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
SICK = {**FLASK, "gunicorn.conf.py": STOCK + "reload = True\n"}
#: On any machine: limits are its own.
SAME = ("--ignore", "HUP3")


def doctor(
    folder: Path, *arguments: str, command: tuple[str, ...] = ("doctor",), **environment: str
) -> subprocess.CompletedProcess[str]:
    """In a folder, with an environment of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HANGUP", "GUNICORN_CMD_ARGS", "WEB_CONCURRENCY")
    }
    return subprocess.run(
        [sys.executable, "-c", RUN, *command, *arguments],
        cwd=folder, env={**kept, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def codes(said: subprocess.CompletedProcess[str]) -> list[str]:
    """What was found, by ``-f json``."""
    return [each["code"] for each in json.loads(said.stdout)["findings"]]


def test_a_sound_folder_is_status_zero(tmp_path: Path) -> None:
    """With what was looked at, and what was taken for granted."""
    write(FLASK, tmp_path)
    said = doctor(tmp_path, *SAME)
    assert (said.returncode, said.stderr) == (0, "")
    assert "looked at: app.py, gunicorn.conf.py, requirements.txt" in said.stdout
    assert "taken for granted: gunicorn is started in the folder of gunicorn.conf.py" in said.stdout
    assert "nothing found" in said.stdout


def test_an_empty_folder_is_status_zero_and_said_to_be_empty(tmp_path: Path) -> None:
    """There is nothing to complain of."""
    said = doctor(tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert "nothing that says how a service is run" in said.stdout


def test_findings_are_status_one_for_people_and_for_programs(tmp_path: Path) -> None:
    """With the place, what users see, and what to do."""
    write(SICK, tmp_path)
    said = doctor(tmp_path, *SAME)
    assert said.returncode == 1
    assert "HUP102 gunicorn.conf.py:3: reload is on" in said.stdout
    assert "Leave it to development." in said.stdout
    told = doctor(tmp_path, *SAME, "-f", "json")
    (found,) = json.loads(told.stdout)["findings"]
    assert (told.returncode, found["code"], found["file"], found["line"], found["value"]) == (
        1, "HUP102", "gunicorn.conf.py", 3, True,
    )  # fmt: skip


def test_rules_are_selected_and_ignored_by_code_beginning_or_name(tmp_path: Path) -> None:
    """What is none is status 2."""
    write({**SICK, "gunicorn.conf.py": "reload = True\ntimeout = 0\n"}, tmp_path)
    assert codes(doctor(tmp_path, "--select", "HUP1", "-f", "json")) == ["HUP101", "HUP102", "HUP107"]
    assert codes(doctor(tmp_path, "--select", "hup101,HUP107", "-f", "json")) == ["HUP101", "HUP107"]
    assert codes(doctor(tmp_path, "--select", "HUP1", "--ignore", "no-timeout", "-f", "json")) == [
        "HUP101",
        "HUP102",
    ]
    wrong = doctor(tmp_path, "--select", "HUP9")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no rule begins with 'HUP9'" in wrong.stderr


def test_with_hangup_switched_off_the_stock_faults_are_seen(tmp_path: Path) -> None:
    """What it mends is there again."""
    write({**FLASK, "gunicorn.conf.py": "from hangup.gunicorn import *\n"}, tmp_path)
    assert codes(doctor(tmp_path, *SAME, "-f", "json")) == []
    assert codes(doctor(tmp_path, *SAME, "-f", "json", HANGUP="off")) == ["HUP101", "HUP118"]


def test_fix_shows_or_changes(tmp_path: Path) -> None:
    """What it cannot change it names."""
    write({**SICK, "gunicorn.conf.py": "reload = True  # ours\n"}, tmp_path)
    shown = doctor(tmp_path, *SAME, "--fix", "--diff")
    assert shown.returncode == 1
    assert "-reload = True  # ours\n+reload = False  # ours\n" in shown.stdout
    assert (tmp_path / "gunicorn.conf.py").read_text() == "reload = True  # ours\n"
    told = doctor(tmp_path, *SAME, "--fix", "-f", "json")
    document = json.loads(told.stdout)
    assert (document["changed"], document["left"]) == (["gunicorn.conf.py"], ["HUP101"])
    assert (tmp_path / "gunicorn.conf.py").read_text() == "reload = False  # ours\n"
    assert doctor(tmp_path, "--diff").returncode == 2


def test_list_and_explain(tmp_path: Path) -> None:
    """All rules; one of them by code or name."""
    listed = doctor(tmp_path, "--list")
    assert listed.returncode == 0
    assert [line[:6] for line in listed.stdout.splitlines()] == sorted(rules())
    assert len(json.loads(doctor(tmp_path, "--list", "-f", "json").stdout)) == len(rules())
    for asked in ("HUP401", "hup401", "no-upgrade-header"):
        said = doctor(tmp_path, "--explain", asked)
        assert said.returncode == 0
        assert "proxy_set_header Upgrade $http_upgrade;" in said.stdout
    assert json.loads(doctor(tmp_path, "--explain", "HUP401", "-f", "json").stdout)["is_fixable"] is True
    assert doctor(tmp_path, "--explain", "HUP999").returncode == 2


def test_explain_knows_the_catalogue_of_log_lines_if_it_is_there(tmp_path: Path) -> None:
    """``HUP0xx`` are those of ``hangup explain``."""
    catalogue = pytest.importorskip("hangup._explain.catalogue")
    assert catalogue
    said = doctor(tmp_path, "--explain", "HUP001")
    assert said.returncode == 0
    assert "HUP001" in said.stdout


def test_a_command_line_may_be_given(tmp_path: Path) -> None:
    """For what is started in a way that no file says."""
    write({"app.py": FLASK["app.py"], "requirements.txt": REQUIREMENTS}, tmp_path)
    assert doctor(tmp_path, *SAME).returncode == 0
    said = doctor(tmp_path, *SAME, "--command", "gunicorn -w 2 app:app", "-f", "json")
    assert codes(said) == ["HUP101", "HUP104", "HUP105"]


def test_units_and_nginx_may_be_given_alone(tmp_path: Path) -> None:
    """Then the folder is not looked at; beside a PATH they are added."""
    bare = NGINX.replace("                proxy_set_header Upgrade $http_upgrade;\n", "")
    bare = bare.replace("            proxy_set_header Upgrade $http_upgrade;\n", "")
    write(
        {
            **SICK,
            "a/web.conf": bare,
            "a/board.service": UNDER_SYSTEMD["board.service"].replace("Restart=on-failure\n", ""),
        },
        tmp_path,
    )
    alone = doctor(tmp_path, "--unit", "a/board.service", "-f", "json", "--select", "HUP5")
    assert codes(alone) == ["HUP508"]
    both = doctor(
        tmp_path,
        "gunicorn.conf.py",
        "app.py",
        "--nginx",
        "a/web.conf",
        "-f",
        "json",
        "--select",
        "HUP4,HUP102",
    )
    assert codes(both) == ["HUP102", "HUP401"]


def test_the_environment_overrules_the_file_and_the_command_line_both(tmp_path: Path) -> None:
    """As in gunicorn; WEB_CONCURRENCY is only a default."""
    write({**FLASK, "gunicorn.conf.py": 'worker_class = "sync"\n'}, tmp_path)
    only = ("--select", "HUP101,HUP103,HUP104", "-f", "json")
    assert codes(doctor(tmp_path, *only)) == ["HUP101"]
    assert codes(doctor(tmp_path, *only, GUNICORN_CMD_ARGS="-k gthread --threads 200")) == []
    assert codes(doctor(tmp_path, *only, WEB_CONCURRENCY="3")) == ["HUP101", "HUP104"]
    line = ("--command", "gunicorn -k sync -w 1 app:app")
    assert codes(doctor(tmp_path, *only, *line, GUNICORN_CMD_ARGS="-k gthread -w 3")) == ["HUP101"]


def test_a_running_gunicorn_is_read_by_its_pid(tmp_path: Path) -> None:
    """Its command line and environment, and the files of the folder it runs in."""
    pytest.importorskip("gunicorn")
    write(
        {
            **FLASK,
            "plain.py": "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n",
        },
        tmp_path,
    )
    line = "--bind 127.0.0.1:0 --reload --no-control-socket --threads 4 plain:app"
    server = subprocess.Popen(
        ["sh", "-c", f'ulimit -n 500; exec "{sys.executable}" -m gunicorn {line}'],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        deadline = time.monotonic() + 30
        while "Listening" not in server.stderr.readline():
            assert time.monotonic() < deadline
        said = doctor(tmp_path.parent, "--pid", str(server.pid), "-f", "json", "--select", "HUP1,HUP301")
        found = {each["code"]: each for each in json.loads(said.stdout)["findings"]}
        assert sorted(found) == ["HUP102", "HUP103", "HUP301"]
        assert found["HUP102"]["file"] == f"/proc/{server.pid}/cmdline"
        assert found["HUP301"]["text"] == f"1064 may be needed, process {server.pid} has 500"
        (service,) = json.loads(said.stdout)["services"]
        assert service["worker"] == "gthread"  # gunicorn.conf.py's
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)


def test_a_process_that_is_not_there_is_status_two(tmp_path: Path) -> None:
    """And no traceback."""
    said = doctor(tmp_path, "--pid", "999999999")
    assert (said.returncode, said.stdout) == (2, "")
    assert "Traceback" not in said.stderr


def test_nothing_of_the_application_is_run_or_imported(tmp_path: Path) -> None:
    """Neither its modules nor frameworks."""
    trap = "open('ran', 'w').close()\n"
    write({**FLASK, "app.py": trap + FLASK["app.py"], "gunicorn.conf.py": trap + STOCK}, tmp_path)
    code = (
        "import sys; from hangup._doctor import *; examine(gather(Asked()))\n"
        "print([m for m in ('flask', 'flask_socketio', 'socketio', 'gunicorn', 'eventlet', 'gevent', 'django', 'app')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "ran").exists()


def test_foreign_text_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Names of files and lines with escapes are shown as such, also in a diff."""
    write(
        {
            **FLASK,
            "gunicorn.conf.py": STOCK + "reload = True  # \x1b[2J\x07\n",
            "\x1b[31m.sh": "gunicorn --reload",
        },
        tmp_path,
    )
    for arguments in ((), ("--fix", "--diff")):
        said = doctor(tmp_path, *arguments)
        assert said.returncode == 1
        assert "\x1b" not in said.stdout
        assert "\x07" not in said.stdout


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    """``hangup doctor --list | head -1``."""
    line = f'"{sys.executable}" -c "{RUN}" doctor --list | head -1'
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("HUP100")
    assert "Traceback" not in done.stderr


def test_a_file_that_may_not_be_written_is_status_two(tmp_path: Path) -> None:
    """And stays as it was."""
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    write(SICK, tmp_path)
    tmp_path.chmod(0o500)
    try:
        said = doctor(tmp_path, "--fix")
    finally:
        tmp_path.chmod(0o700)
    assert said.returncode == 2
    assert "Traceback" not in said.stderr
