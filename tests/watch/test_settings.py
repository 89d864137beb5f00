"""Where settings come from, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest
from drill import config
from hangup._watch import gunicorn_facts
from hangup._watch.settings import Settings, WrongSetting, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_without_anything_there_are_defaults() -> None:
    assert load({}, None, {}) == Settings()


def test_an_option_precedes_the_environment_and_that_precedes_the_file(tmp_path: Path) -> None:
    path = str(config(tmp_path, interval=1, timeout=2.5, zombies=3))
    found = load(
        {"interval": 9.0, "rss": None}, path, {"HANGUP_WATCH_INTERVAL": "8", "HANGUP_WATCH_ZOMBIES": "7"}
    )
    assert (found.interval, found.timeout, found.zombies) == (9.0, 2.5, 7)


def test_pyproject_has_a_table_for_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.hangup.watch]\nneeds = ["redis://cache"]\nrestarts = 1\n')
    assert (load({}, None, {}).needs, load({}, None, {}).restarts) == (("redis://cache",), 1)


def test_a_pyproject_that_is_somebody_elses_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nwatch = 1\n")
    assert load({}, None, {}) == Settings()
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe broken [")
    assert load({}, None, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("intervall = 3\n", "'intervall' is no setting"),
        ('interval = "3"\n', "interval has to be float"),
        ("interval = true\n", "interval has to be float"),
        ("zombies = 1.5\n", "zombies has to be int"),
        ('needs = "redis://cache"\n', "needs has to be a list of texts"),
        ("interval = 0\n", "interval has to be more than 0"),
        ("raise_after = 6\n", "raise_after"),
        ("descriptors = 2\n", "descriptors is a share"),
        ("interval = \n", "watch.toml"),
        ("tool.hangup.watch = 3\n", "not a table"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "watch.toml"
    path.write_text(text)
    with pytest.raises(WrongSetting, match=said.replace("'", ".")):
        load({}, str(path), {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="No such file"):
        load({}, str(tmp_path / "none.toml"), {})


def test_an_environment_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(WrongSetting, match="HANGUP_WATCH_INTERVAL"):
        load({}, None, {"HANGUP_WATCH_INTERVAL": "soon"})


def test_what_gunicorn_was_told_is_read_from_where_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\ntimeout = 300\nbind = ['127.0.0.1:9000', 'unix:/run/app.sock']\ngraceful_timeout = compute()\n"
        "os.abort()\n"
    )
    found = gunicorn_facts.facts(["gunicorn", "app:app"], {}, str(tmp_path))
    assert (found["timeout"], found.get("graceful_timeout")) == (300.0, None)
    assert gunicorn_facts.ports(found["bind"]) == [9000]
    assert gunicorn_facts.unix_paths(found["bind"], "/") == ["/run/app.sock"]
    line = ["gunicorn", "-t", "60", "-b:8080", "--bind=[::1]:8081", "app:app"]
    found = gunicorn_facts.facts(line, {"GUNICORN_CMD_ARGS": "--timeout 90 --pid /run/x"}, str(tmp_path))
    assert (found["timeout"], found["pidfile"]) == (60.0, "/run/x")
    assert gunicorn_facts.ports(found["bind"]) == [8080, 8081]


@pytest.mark.parametrize("text", [b"\xff", b"timeout = (", b"(" * 5000, b"timeout = 'x'\nbind = 5\n"])
def test_a_gunicorn_configuration_that_cannot_be_read_is_no_obstacle(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "gunicorn.conf.py").write_bytes(text)
    found = gunicorn_facts.facts(["gunicorn"], {"GUNICORN_CMD_ARGS": "'"}, str(tmp_path))
    assert "timeout" not in found
    gunicorn_facts.ports(found["bind"])


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("workers = 2", 30.0),
        ("timeout = 45", 45.0),
        ("timeout = 45\nif workers:\n    timeout = 600", None),
        ("timeout = int(os.environ['T'])", None),
        ("from base import *", None),
        ("from hangup.gunicorn import *", 30.0),
        ("timeout: int = 600", None),
    ],
)
def test_a_timeout_that_may_be_computed_is_not_known(
    tmp_path: Path, text: str, timeout: Optional[float]
) -> None:
    """So that nobody takes an idle worker for a hung one."""
    (tmp_path / "gunicorn.conf.py").write_text(text)
    assert gunicorn_facts.facts(["gunicorn"], {}, str(tmp_path)).get("timeout") == timeout
    assert gunicorn_facts.facts(["gunicorn", "-t9"], {}, str(tmp_path)).get("timeout") == 9.0


def run(*words: str, directory: str) -> subprocess.CompletedProcess[str]:
    """The command, as from a shell."""
    code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "watch", *words],
        capture_output=True, text=True, timeout=60, check=False, cwd=directory, env={**os.environ, "HOME": directory},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pid", "4194303999"), "no process"),
        (("--pid", "1", "--unit", "x.service"), "one of"),
        (("--unit", "x.service"), "systemd does not run here"),
        (("--dry-run", "--", "gunicorn"), "leave the command away"),
        (("--probe", "ftp://x", "--pid", "1"), "no URL"),
        (("--needs", "what", "--pid", "1"), "neither a URL"),
        (("--interval", "0", "--pid", "1"), "interval"),
        (("--restart-command", "'", "--pid", "1"), "quotation"),
        (("--config", "/no/such.toml",), "No such file"),
    ],
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_is_status_two(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run(*words, directory=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, ""), done
    assert said in done.stderr.replace("closing quote", "quotation").replace("No closing", "quotation")
    assert "Traceback" not in done.stderr
