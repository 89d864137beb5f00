"""``hangup explain`` and ``hangup logs`` as they are called."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Union

import pytest
from click.testing import CliRunner
from hangup._cli.commands.explain import command
from test_reading import BUG
from text import SAMPLES

CODE = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
NOISE = next(sample for sample in SAMPLES if sample.name.startswith("HUP002.pywsgi-wsgi")).read_text()


def run(*arguments: Union[str, Path], given: Union[str, bytes] = b"") -> subprocess.CompletedProcess[bytes]:
    text = given.encode() if isinstance(given, str) else given
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)], input=text, capture_output=True, timeout=60, check=False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "given", "status", "says"),
    [
        (["explain", "OSError: [Errno 9] Bad file descriptor"], "", 1, "HUP001"),
        (["explain", "KeyError: 'Session is disconnected'"], "", 1, "HUP006"),
        (["explain", "-"], NOISE, 0, "nothing has to be done"),
        (["explain"], NOISE, 0, "HUP002"),
        (["explain"], BUG, 1, "/srv/app/rooms.py:88 in join"),
        (["explain", "HUP030"], "", 0, "WORKER TIMEOUT"),
        (["explain", "hup030"], "", 0, "WORKER TIMEOUT"),
        (["explain", "all", "is", "well"], "", 1, "NOT RECOGNISED"),
        (["explain"], "", 1, "NOT RECOGNISED"),
        (
            ["explain", "2026 app: ConnectionResetError: [Errno 104] Connection reset by peer"],
            "",
            1,
            "HUP002",
        ),
        (["logs"], BUG, 1, "YOUR CODE"),
        (["logs"], NOISE, 0, "NOISE"),
        (["logs"], "", 0, "0 lines"),
        (["logs", "-"], "all is well\n" * 5, 0, "5 lines"),
    ],
)
def test_the_status_says_whether_something_has_to_be_done(
    arguments: list[str], given: Union[str, bytes], status: int, says: str
) -> None:
    """0, no; 1, yes, or it is not known."""
    said = run(*arguments, given=given)
    assert said.returncode == status, said
    assert says in said.stdout.decode()
    assert not said.stderr
    as_json = run(*arguments, "-f", "json", given=given)
    assert as_json.returncode == status
    assert json.loads(as_json.stdout)
    assert as_json.stdout.count(b"\n") == 1


@pytest.mark.parametrize("line", [("explain", "HUP099"), ("logs", "/nonexistent/log"), ("logs", "/")])
def test_what_is_not_there_is_status_two(line: tuple[str, ...]) -> None:
    """A code, a file; a folder is no log."""
    said = run(*line)
    assert said.returncode == 2
    assert said.stderr
    assert not said.stdout


def test_nothing_of_a_log_reaches_the_terminal_as_it_is() -> None:
    """Neither escapes nor markup."""
    evil = BUG.replace(b"'player'", b"'\x1b]0;owned\x07 [bold]x[/nonsense] \x9b31m \xe2\x80\xae'")
    for arguments in (["logs", "--examples"], ["explain"]):
        said = run(*arguments, given=evil)
        assert said.returncode == 1
        text = said.stdout.decode()
        assert not [char for char in text if not char.isprintable() and char != "\n"]
        assert "[bold]x[/nonsense]" in text


def test_codes_of_the_doctor_are_the_doctors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one; of those of the catalogue it is not asked."""
    rule = SimpleNamespace(
        code="HUP101", name="a [b]sync worker", severity="error", wrong="w", seen="s", mend="m", hangup="h", source="u"
    )  # fmt: skip
    registry = SimpleNamespace(rules=lambda: {"HUP101": rule})
    monkeypatch.setitem(sys.modules, "hangup._doctor", ModuleType("hangup._doctor"))
    monkeypatch.setitem(sys.modules, "hangup._doctor.registry", registry)
    said = CliRunner().invoke(command, ["hup101"])
    assert said.exit_code == 0
    assert "a [b]sync worker" in said.output
    as_json = CliRunner().invoke(command, ["HUP101", "-f", "json"])
    assert json.loads(as_json.output)["mend"] == "m"


def test_several_files_are_one_log(tmp_path: Path) -> None:
    """In any order, compressed or not; the times are of all of them."""
    (tmp_path / "app.log").write_bytes(BUG)
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(BUG.replace(b"11-22", b"11-20")))
    said = run("logs", tmp_path / "app.log", tmp_path / "app.log.1.gz", "-f", "json")
    [family] = json.loads(said.stdout)["families"]
    assert (family["kind"], family["count"], family["place"]["line"]) == ("bug", 2, 88)
    assert (family["first"][:10], family["last"][:10]) == ("2026-11-20", "2026-11-22")
    assert family["share"] == 1.0


def test_an_interrupt_shows_what_was_read_so_far(tmp_path: Path) -> None:
    """`tail -F log | hangup logs -`."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "logs", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    assert process.stdin is not None
    process.stdin.write(BUG + b"all is well\n")
    process.stdin.flush()
    deadline = time.monotonic() + 20
    # until it waits for more, it may not have read this yet
    while time.monotonic() < deadline and "pipe" not in Path(f"/proc/{process.pid}/wchan").read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"YOUR CODE" in shown


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`hangup logs | head -1`."""
    number = "\n".join(BUG.decode().replace("88", str(line)) for line in range(2000)).encode()
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "logs"], stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    os.close(reading)
    _, said = process.communicate(number, timeout=60)
    assert b"Traceback" not in said, said
