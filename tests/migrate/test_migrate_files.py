"""What ``hangup migrate eventlet`` makes of files: of Python, lists of packages and command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hangup._init.sources import parse
from hangup._migrate import deployment, requirements
from hangup._migrate.deployment import Start
from hangup._migrate.source import Rewriter
from hangup._migrate.state import shared_state
from init_files import hangup


def rewritten(text: str) -> tuple[str, list[str]]:
    """A module after it, and its findings as ``kind line what``."""
    source = parse(Path("m.py"), text)
    assert source
    rewriter = Rewriter(source, frozenset({"socketio"}))
    change = rewriter.change()
    return change.after if change else text, [
        f"{one.kind} {one.line} {one.what}" for one in rewriter.findings
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import eventlet\neventlet.monkey_patch()\n\nx = 1\n", "\nx = 1\n"),
        ("import os, eventlet  # both\neventlet.monkey_patch(thread=False)\nos.nice\n", "import os  # both\nos.nice\n"),
        ("try:\n    import eventlet\n    eventlet.monkey_patch()\nexcept ImportError:\n    pass\n", "try:\n    pass\nexcept ImportError:\n    pass\n"),
        ("import eventlet; eventlet.monkey_patch(); x = 1\n", "pass; pass; x = 1\n"),
        ("import eventlet\n\ndef f():\n    eventlet.sleep(2)\n", "import time\n\ndef f():\n    time.sleep(2)\n"),
        ("import eventlet as ev\nev.sleep()\n", "import time\ntime.sleep(0)\n"),
        ("from eventlet import sleep as nap\nimport time\nnap(seconds=1)\n", "import time\ntime.sleep(1)\n"),
        ("import eventlet\ndef time(): ...\neventlet.sleep(1)\n", "import time as time_\ndef time(): ...\ntime_.sleep(1)\n"),
        ("from app import socketio\nimport eventlet\ndef f():\n    eventlet.sleep(1)\n    eventlet.spawn(g, 1, k=2)\n",
         "from app import socketio\ndef f():\n    socketio.sleep(1)\n    socketio.start_background_task(g, 1, k=2)\n"),
        ("import eventlet\neventlet.sleep(1)\nsocketio = SocketIO(app, async_mode='eventlet')\n",
         "import time\ntime.sleep(1)\nsocketio = SocketIO(app, async_mode=\"threading\")\n"),
        ("import eventlet\neventlet.spawn_n(f, 1, *a, k=2, **kw)\n",
         "import threading\nthreading.Thread(target=f, args=(1, *a,), kwargs={\"k\": 2, **kw}, daemon=True).start()\n"),
        ("import eventlet\neventlet.spawn_after(5, f, x)\n", "import threading\nthreading.Timer(5, f, args=[x]).start()\n"),
        ("from eventlet.semaphore import Semaphore\nfrom eventlet.queue import Queue, Empty\nlock = Semaphore(2)\nq = Queue()\ntry: q.get()\nexcept Empty: pass\n",
         "import queue\nimport threading\nlock = threading.Semaphore(2)\nq = queue.Queue()\ntry: q.get()\nexcept queue.Empty: pass\n"),
        ("from eventlet import queue\nq = queue.Queue()\n", "import queue\nq = queue.Queue()\n"),
        ("from eventlet.green import socket\nimport eventlet.green.time as t\nfrom eventlet.green.urllib.request import urlopen\nsocket, t, urlopen\n",
         "import socket\nimport time as t\nfrom urllib.request import urlopen\nsocket, t, urlopen\n"),
        ("import eventlet.green.subprocess\neventlet.green.subprocess.run([])\n", "import subprocess\nsubprocess.run([])\n"),
        ("options = {'async_mode': 'eventlet'}\nASYNC_MODE = 'eventlet'\n", "options = {'async_mode': \"threading\"}\nASYNC_MODE = \"threading\"\n"),
        ("s = SocketIO(app, cors_allowed_origins='*',\n)\n", "s = SocketIO(app, cors_allowed_origins='*', async_mode=\"threading\",\n)\n"),
        ("s = SocketIO()\n", "s = SocketIO(async_mode=\"threading\")\n"),
        ("s = SocketIO(message_queue='redis://')\nt = SocketIO(app, **options)\n", None),
        ("worker_class = 'eventlet'\nworkers = 1\n",
         "worker_class = \"gthread\"\nthreads = 16\nworkers = 1\n\nimport hangup.gunicorn\n\nhangup.gunicorn.install(globals())\n"),
        ("worker_class = 'eventlet'\nthreads = 4\nfrom hangup.gunicorn import *\n", "worker_class = \"gthread\"\nthreads = 4\nfrom hangup.gunicorn import *\n"),
        ("import eventlet\r\ndef f():\r\n    eventlet.sleep(1)  # é\r\n", "import time\r\ndef f():\r\n    time.sleep(1)  # é\r\n"),
        ("é = 'é'; import eventlet\né; eventlet.sleep(1)\n", "é = 'é'; import time\né; time.sleep(1)\n"),
    ],
)  # fmt: skip
def test_python_is_changed_where_eventlet_is_and_nowhere_else(before: str, after: str | None) -> None:
    """Nothing of it is left, and no blocker."""
    text, findings = rewritten(before)
    assert text == (before if after is None else after)
    assert not [one for one in findings if one.startswith("blocker")]
    assert rewritten(text)[0] == text


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("import eventlet\np = eventlet.GreenPool(10)\n", "blocker 2 eventlet.GreenPool"),
        ("import eventlet\ng = eventlet.spawn(f)\ng.wait()\n", "blocker 2 eventlet.spawn"),
        ("import eventlet\neventlet.spawn(f, eventlet.sleep)\n", "blocker 2 eventlet.spawn"),
        ("from eventlet import wsgi\nimport eventlet\nwsgi.server(eventlet.listen(('', 80)), app)\n", "blocker 3 eventlet.wsgi.server"),
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
    ("before", "after"),
    [
        ("flask\neventlet==0.33.3\n", "flask\nhangup\n"),
        ("eventlet>=0.30 ; python_version > '3'  # why\r\ngunicorn==21.2.0\r\n", "gunicorn>=21.2,<28\r\nhangup\r\n"),
        ("gunicorn[eventlet]<26  # eventlet\nhangup", "gunicorn>=21.2,<28  # eventlet\nhangup"),
        ("gunicorn[eventlet,gthread]\n", "gunicorn[gthread]\nhangup\n"),
        ("eventlet\ndnspython==1.16.0\nDNSPython_extra\n", "DNSPython_extra\nhangup\n"),
        ("eventlet==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\nflask==3 \\\n    --hash=sha256:c\n", "flask==3 \\\n    --hash=sha256:c\nhangup\n"),
        ("gunicorn>=27\neventlet", "gunicorn>=27\nhangup\n"),
        ("-r base.txt\n# eventlet\nflask\n", "-r base.txt\n# eventlet\nflask\n"),
    ],
)  # fmt: skip
def test_packages(before: str, after: str) -> None:
    """eventlet goes, its pins are lifted, hangup comes."""
    assert requirements.rewritten(before, uses_dns=False) == after


def test_dnspython_stays_without_its_pin_where_it_is_used() -> None:
    """The application imports dns."""
    assert requirements.rewritten("eventlet\ndnspython<2\n", uses_dns=True) == "dnspython\nhangup\n"


H = "-c python:hangup.gunicorn"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("Procfile", "web: gunicorn -k eventlet -w 1 app:app\n", f"web: gunicorn -k gthread --threads 16 {H} -w 1 app:app\n"),
        ("Procfile", "web: gunicorn -keventlet app:app\n", f"web: gunicorn -kgthread --threads 16 {H} app:app\n"),
        ("x.service", "ExecStart=/v/gunicorn --worker-class=eventlet -c g.py a:a\n", "ExecStart=/v/gunicorn --worker-class=gthread --threads 16 -c g.py a:a\n"),
        ("x.service", "ExecStart=/v/gunicorn \\\n  --worker-class \\\n    eventlet \\\n  a:a\n", f"ExecStart=/v/gunicorn \\\n  --worker-class \\\n    gthread --threads 16 {H} \\\n  a:a\n"),
        ("Dockerfile", 'CMD ["gunicorn", "-k", "eventlet", "a:a"]\n', 'CMD ["gunicorn", "-k", "gthread", "--threads", "16", "-c", "python:hangup.gunicorn", "a:a"]\n'),
        ("Dockerfile", 'CMD ["gunicorn", "--worker-class=eventlet", "--threads=9", "a:a"]\n', 'CMD ["gunicorn", "--worker-class=gthread", "-c", "python:hangup.gunicorn", "a:a"]\n'.replace('gthread", ', 'gthread", ').replace('"a:a"', '"--threads=9", "a:a"')),
        ("Dockerfile", "RUN pip install gunicorn eventlet==0.33 flask\n", "RUN pip install gunicorn hangup flask\n"),
        ("compose.yaml", "command: gunicorn --worker-class eventlet a:a\n", f"command: gunicorn --worker-class gthread --threads 16 {H} a:a\n"),
        ("compose.yaml", "command:\n  - gunicorn\n  - -k\n  - eventlet\n  - a:a\n", "command:\n  - gunicorn\n  - -k\n  - gthread\n  - --threads\n  - \"16\"\n  - -c\n  - python:hangup.gunicorn\n  - a:a\n"),
        ("compose.yaml", "- '-k'\n- 'eventlet'\n", "- '-k'\n- 'gthread'\n- '--threads'\n- '16'\n- '-c'\n- 'python:hangup.gunicorn'\n"),
        ("start.sh", 'export GUNICORN_CMD_ARGS="--worker-class eventlet"\n', f'export GUNICORN_CMD_ARGS="--worker-class gthread --threads 16 {H}"\n'),
        ("Procfile", "web: python app.py\n", f"web: gunicorn {H} -k gthread --threads 16 -b 0.0.0.0:5000 app:app\n"),
        ("Dockerfile", 'CMD ["python", "-u", "app.py"]\n', 'CMD ["gunicorn", "-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "16", "-b", "0.0.0.0:5000", "app:app"]\n'),
        ("x.service", "ExecStart=/srv/venv/bin/python3 app.py\n", f"ExecStart=/srv/venv/bin/gunicorn {H} -k gthread --threads 16 -b 0.0.0.0:5000 app:app\n"),
        ("Procfile", "worker: python app.pyx\nother: gunicorn -k gevent a:a\n", "worker: python app.pyx\nother: gunicorn -k gevent a:a\n"),
        ("pyproject.toml", 'dependencies = [\n  "flask",\n  "eventlet>=0.33",\n]\nx = ["gunicorn==21.2.0", "b"]\n', 'dependencies = [\n  "flask",\n  "hangup",\n]\nx = ["gunicorn>=21.2,<28", "b"]\n'),
    ],
)  # fmt: skip
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
