"""What ``hangup migrate eventlet`` makes of files: of Python, lists of packages and command lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hangup._init.sources import parse
from hangup._migrate import deployment, requirements
from hangup._migrate.deployment import Start
from hangup._migrate.source import Rewriter
from hangup._migrate.state import shared_state
from init_files import hangup


def cases(name: str) -> list[tuple[str, str, str]]:
    """Those of a file: ``=== name``, what was there, ``--->``, what becomes of it."""
    text = (Path(__file__).parent / f"{name}.cases").read_text()
    found = re.findall(r"^=== ?(.*)\n((?s:.*?))^--->\n((?s:.*?))(?=^===|\Z)", text, re.MULTILINE)
    assert len(found) == text.count("\n--->\n")
    return found


def rewritten(text: str) -> tuple[str, list[str]]:
    """A module after it, and its findings as ``kind line what``."""
    source = parse(Path("m.py"), text)
    assert source
    rewriter = Rewriter(source, frozenset({"socketio"}))
    change = rewriter.change()
    return change.after if change else text, [
        f"{one.kind} {one.line} {one.what}" for one in rewriter.findings
    ]


CRLF = "import eventlet\r\ndef f():\r\n    eventlet.sleep(1)  # é\r\n"


@pytest.mark.parametrize(
    ("_name", "before", "after"), [*cases("python"), ("", CRLF, CRLF.replace("eventlet", "time"))]
)
def test_python_is_changed_where_eventlet_is_and_nowhere_else(_name: str, before: str, after: str) -> None:
    """Nothing of it is left, and no blocker."""
    text, findings = rewritten(before)
    assert text == after
    assert not [one for one in findings if one.startswith("blocker")]
    assert rewritten(text)[0] == text


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("import eventlet\np = eventlet.GreenPool(10)\n", "blocker 2 eventlet.GreenPool"),
        ("import eventlet\ng = eventlet.spawn(f)\ng.wait()\n", "blocker 2 eventlet.spawn"),
        ("import eventlet\neventlet.spawn(f, eventlet.sleep)\n", "blocker 2 eventlet.spawn"),
        ("from eventlet import wsgi, listen\nwsgi.server(listen(('', 80)), app)\n", "blocker 2 eventlet.wsgi.server"),
        ("from eventlet import tpool\ntpool.execute(f)\n", "blocker 2 eventlet.tpool.execute"),
        ("from eventlet import corolocal\nx = corolocal.local()\n", "blocker 2 eventlet.corolocal.local"),
        ("from eventlet.green import zmq\nzmq.Context()\n", "blocker 2 eventlet.green.zmq.Context"),
        ("from eventlet.green.OpenSSL import SSL\nSSL.x\n", "blocker 2 eventlet.green.OpenSSL.SSL.x"),
        ("import eventlet\nwith eventlet.Timeout(3):\n    pass\n", "blocker 2 eventlet.Timeout"),
        ("import eventlet\nf(eventlet)\n", "blocker 2 eventlet"),
        ("from eventlet import *\n", "blocker 1 eventlet.*"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_named_and_kept(text: str, finding: str) -> None:
    """With its import: the file runs as before where eventlet is installed."""
    after, findings = rewritten(text)
    assert finding in findings
    assert "eventlet" in after
    assert text.splitlines()[0] in after


def test_a_half_that_can_be_changed_is_changed() -> None:
    """The name that is still used stays imported."""
    after, findings = rewritten("from eventlet import sleep, GreenPool\nGreenPool().waitall()\nsleep(1)\n")
    assert after == "from eventlet import GreenPool\nimport time\nGreenPool().waitall()\ntime.sleep(1)\n"
    assert findings == ["blocker 2 eventlet.GreenPool"]


def test_state_that_handlers_change_is_a_hint() -> None:
    """At module level, without a lock; what is local, or read, or locked, is none."""
    text = """
users, rooms, count, names, quiet = {}, [], 0, set(), {}
users = {}
rooms = []
safe = {}
read = {}
@socketio.on("join")
def join(data):
    global count
    users[data] = 1
    rooms.append(data)
    count += 1
    with lock:
        safe[data] = 1
    mine = {}
    mine[1] = read[1]
def helper():
    quiet.clear()
"""
    source = parse(Path("m.py"), text)
    assert source
    assert [one.what for one in shared_state(source)] == [
        f"{name} is changed in join()" for name in ("users", "rooms", "count")
    ]


@pytest.mark.parametrize(
    ("_name", "before", "after"),
    [
        *cases("packages"),
        (
            "",
            "eventlet>=0.30 ; python_version > '3'  # x\r\ngunicorn==21.2.0\r\n",
            "gunicorn>=21.2,<28\r\nhangup\r\n",
        ),
        ("", "gunicorn[eventlet]<26  # eventlet\nhangup", "gunicorn>=21.2,<28  # eventlet\nhangup"),
        ("", "gunicorn>=27\neventlet", "gunicorn>=27\nhangup\n"),
    ],
)
def test_packages(_name: str, before: str, after: str) -> None:
    """eventlet goes, its pins are lifted, hangup comes."""
    assert requirements.rewritten(before, uses_dns=False) == after


def test_dnspython_stays_without_its_pin_where_it_is_used() -> None:
    """The application imports dns."""
    assert requirements.rewritten("eventlet\ndnspython<2\n", uses_dns=True) == "dnspython\nhangup\n"


@pytest.mark.parametrize(("name", "before", "after"), cases("commands"))
def test_command_lines(name: str, before: str, after: str) -> None:
    """However they are written."""
    start = Start("app.py", "app:app", "0.0.0.0:5000")
    assert deployment.is_deployment(Path(name))
    assert deployment.rewritten(Path(name), before, has_configuration=False, starts=[start]) == after


def migrated(folder: Path, *arguments: str) -> tuple[int, Any]:
    """Exit status and document."""
    said = hangup(folder, "migrate", "eventlet", "-f", "json", *arguments)
    return said.returncode, json.loads(said.stdout)


def test_a_folder_without_eventlet_is_left_alone(tmp_path: Path) -> None:
    """Exit 0; a SocketIO whose mode is not said stays as it is."""
    (tmp_path / "app.py").write_text("from flask_socketio import SocketIO\nsocketio = SocketIO(app)\n")
    (tmp_path / "requirements.txt").write_text("gunicorn==21.2.0\n")
    assert migrated(tmp_path) == (
        0,
        {"found": False, "written": False, "files": [], "blockers": [], "hints": []},
    )
    assert "Nothing here" in hangup(tmp_path, "migrate", "eventlet").stdout


def test_nothing_is_written_unless_asked_for_and_the_second_time_there_is_nothing(tmp_path: Path) -> None:
    """Exit 1 while there is something to do; the diff is one that patch takes."""
    (tmp_path / "app.py").write_text("import eventlet\neventlet.monkey_patch()\nx = 1\n")
    (tmp_path / "requirements.txt").write_text("eventlet\n")
    status, found = migrated(tmp_path)
    assert (status, len(found["files"])) == (1, 2)
    assert found["files"][0]["diff"].startswith("--- a/app.py\n+++ b/app.py\n")
    assert "eventlet" in (tmp_path / "app.py").read_text()
    assert migrated(tmp_path, "--write")[0] == 0
    assert (tmp_path / "app.py").read_text() == "x = 1\n"
    assert migrated(tmp_path)[1]["files"] == []


def test_what_cannot_be_read_is_a_blocker_if_it_has_eventlet(tmp_path: Path) -> None:
    """Another encoding, broken Python, a name in a file that is not understood; and nothing steers the terminal."""
    (tmp_path / "latin.py").write_bytes(b"# \xe9\nimport eventlet\n")
    (tmp_path / "broken.py").write_text("import eventlet\ndef (:\n")
    (tmp_path / "app.yaml").write_text("worker: eventlet \x1b[31mred\n")
    (tmp_path / "fine.py").write_bytes(b"\xff")
    status, found = migrated(tmp_path)
    assert status == 1
    assert {one["path"] for one in found["blockers"]} == {"latin.py", "broken.py", "app.yaml"}
    said = hangup(tmp_path, "migrate", "eventlet")
    assert "app.yaml:1" in said.stdout
    assert "\x1b" not in said.stdout


def test_a_folder_that_is_too_large_to_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of saying that there is nothing."""
    from hangup._init import sources
    from hangup._migrate import project

    monkeypatch.setattr(sources, "MOST_FILES", 3)
    monkeypatch.setattr(project, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"m{number}.py").write_text("x = 1\n")
    status, found = migrated(tmp_path)
    assert (status, [one["do"].partition(":")[0] for one in found["blockers"]]) == (1, ["not all were read"])
