"""What the table of the deployments is made of: what counts as a failure, and what as on target."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from deployments.deployment import Deployment, Outcome
from deployments.environment import EXAMPLES, ROOT
from deployments.runner import NAMES, Row
from deployments.service import Failed, Service, free_port
from deployments.table import show
from deployments.tracebacks import count, failures
from hangup._demo.server import wait_until
from rich.console import Console

CHAINED = """server=1 socket shutdown error: [Errno 9]Traceback (most recent call last):
  File "a.py", line 1, in a
    os.write(1, b"")
BrokenPipeError: [Errno 32] Broken pipe

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 1, in b
    raise Late
b.Late: with a text

[2026-11-22 07:49:59,682] ERROR in app: Exception on /tickets/7 [GET]
Traceback (most recent call last):
  File "c.py", line 1, in c
KeyError: 'ticket'
"""


def test_exceptions_that_are_chained_are_one_failure() -> None:
    """The last one is what it is called."""
    assert list(failures(CHAINED)) == ["b.Late: with a text", "KeyError: 'ticket'"]


def test_a_traceback_that_was_cut_off_is_a_failure_too() -> None:
    assert list(failures('Traceback (most recent call last):\n  File "a.py", line 1')) == ["?"]
    assert list(failures("Traceback (most recent call last):\n  File\nGET / 200\n")) == ["?"]


def test_tracebacks_that_were_not_provoked_are_counted_apart() -> None:
    known, others = count(CHAINED, ["KeyError: 'ticket'"])
    assert known == {"KeyError: 'ticket'": 1}
    assert others == {"b.Late: with a text": 1}


def sound() -> Outcome:
    return Outcome(attempted=3, succeeded=3, provoked=Counter(["KeyError"]), seen=Counter(["KeyError"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempted": 0, "succeeded": 0},
        {"succeeded": 2},
        {"complaints": 1},
        {"tracebacks": Counter(["?"])},
        {"restarts": 1},
        {"seen": Counter()},
        {"missing": "nginx is not installed"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_one_thing_that_is_wrong_is_enough_to_miss_the_target(wrong: dict[str, object]) -> None:
    outcome = sound()
    assert outcome.on_target
    for name, value in wrong.items():
        setattr(outcome, name, value)
    assert not outcome.on_target


def test_a_row_says_what_was_not_reproduced_and_steers_no_terminal() -> None:
    known = Deployment("trading", "it hurts", "pains", (), lambda _site, _outcome: None)
    stock, fixed = sound(), sound()
    fixed.tracebacks["ValueError: \x1b[31m[bold]"] += 1
    shown = io.StringIO()
    show([Row(known, stock, fixed)], Console(file=shown, width=200))
    assert "not reproduced by this run" in shown.getvalue()
    assert "1 x ValueError: \\x1b[31m[bold]" in shown.getvalue()
    json.dumps(Row(known, stock, fixed).as_json())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_user_changed_is_the_whole_difference(name: str, tmp_path: Path) -> None:
    """``hangup.diff`` can be taken back and applied again, and mentions hangup where lines were added."""
    if shutil.which("patch") is None or shutil.which("diff") is None:
        pytest.skip("patch or diff is not installed")
    diff = (EXAMPLES / name / "hangup.diff").read_text()
    assert "hangup" in "".join(line for line in diff.splitlines() if line.startswith("+"))
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    for direction in ("--reverse", "--forward"):
        words = ["patch", direction, "--strip=1", "--force", "--fuzz=0", "--input=hangup.diff"]
        done = subprocess.run(words, cwd=tmp_path / name, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    again = subprocess.run(
        ["diff", "--recursive", str(EXAMPLES / name), str(tmp_path / name)], capture_output=True, text=True
    )
    assert again.returncode == 0, again.stdout


def test_a_service_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    service = Service(["sh", "-c", "echo no such table; exit 3"], tmp_path, os.environ, tmp_path / "web")
    with pytest.raises(Failed, match=r"ended with 3:\nno such table"):
        service.wait_for_ports(free_port())
    assert service.stop() == 0


def test_children_that_outlive_their_parent_are_counted_and_ended(tmp_path: Path) -> None:
    """As of a start script that does not exec."""
    script = "trap 'exit 0' TERM; sleep 600 & sleep 600 & wait"
    service = Service(["sh", "-c", script], tmp_path, os.environ, tmp_path / "web")
    assert wait_until(lambda: len(service.processes()) == 3, 10)
    assert service.stop() == 2
    assert wait_until(lambda: service.processes() == [], 10)  # reaped by whoever adopted them


def test_a_run_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    """Also by SIGTERM, as of ``timeout``: the services have sessions of their own."""
    words = [sys.executable, "-m", "deployments", "--only", "trading", "--quick"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(tmp_path)}
    run = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        log = wait_until(lambda: bool(list(tmp_path.glob("*/web.err"))), 60)
        if not log:
            pytest.skip("trading cannot be started here: its packages are not installed (make setup)")
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 128 + signal.SIGTERM
    finally:
        run.kill()
        run.wait()
        assert run.stdout is not None
        run.stdout.close()
    assert list(tmp_path.iterdir()) == []
