"""What is read of gunicorn's options and files is what gunicorn reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doctor.test_planted import write
from hangup._doctor import Asked, gather
from hangup._doctor.reading import options

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("21.2.0", "23.0.0", "25.3.0", "27.0.1")
ASK = """
import json, os, sys
asked, cases = json.loads(sys.stdin.readline())
told = []
for folder, line, environment in cases:
    child = os.fork()  # gunicorn remembers the folder that it is imported in
    if not child:
        os.chdir(folder)
        os.environ.update(environment, PWD=folder)
        sys.argv[1:] = [*line.split(), "app:app"]
        from gunicorn.app.wsgiapp import WSGIApplication
        settings = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").cfg.settings
        with open("told.json", "w") as file:
            json.dump({name: settings[name].get() for name in asked}, file, default=str)
        os._exit(0)
    os.waitpid(child, 0)
    with open(folder + "/told.json") as file:
        told.append(json.load(file))
print(json.dumps(told))
"""
FLAGS = """
import json
from gunicorn.config import KNOWN_SETTINGS
known = [each for each in KNOWN_SETTINGS if each.cli]
print(json.dumps([[each.name, each.cli, (each.action or "").startswith("store_")] for each in known]))
"""
SETTINGS = (
    "workers", "threads", "worker_connections", "timeout", "graceful_timeout", "keepalive", "backlog", "max_requests",
    "preload_app", "reload", "daemon", "bind",
)  # fmt: skip


def python(
    version: str, code: str, *arguments: str, folder: Path = ROOT, told: str = "", **environment: str
) -> Any:
    """What a program says under a gunicorn."""
    place = ROOT / ".gunicorn" / version
    if not place.is_dir():
        pytest.skip(f"gunicorn {version} is not installed")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], input=told, env={**kept, "PYTHONPATH": str(place)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_is_known_and_whether_it_takes_a_value(version: str) -> None:
    """Else the word behind it would be taken for the application."""
    known = {
        option: action.nargs == 0 or action.const is not None
        for action in options._parser()._actions
        for option in action.option_strings
    }
    for name, given, is_flag in python(version, FLAGS):
        for option in given:
            assert option in known, name
            assert known[option] == is_flag or name == "proxy_protocol", name  # either, since 24


CASES = [
    ("", "", {}),
    ("workers = 2\nthreads = 2 * 4", "", {}),
    ("workers = 2", "-w 3", {}),
    ("workers = 2", "-w 3", {"GUNICORN_CMD_ARGS": "-w 4 --threads=5"}),
    ("", "", {"GUNICORN_CMD_ARGS": "--worker-connections 12 -t 7", "WEB_CONCURRENCY": "6"}),
    ("", "--preload --reload -D -b 127.0.0.1:1 -b 127.0.0.1:2 --graceful-timeout=9 --max-requests 3", {}),
    ("", "-w2 --threads=3 --keep-alive 11 --backl 77", {}),
    (
        "import os\ntimeout = int(os.environ.get('T', 40))\nbind = '127.0.0.1:' + os.getenv('P', '9')",
        "",
        {"T": "50"},
    ),
    ("def f():\n    return 3\n_w = 2\nworkers: int = _w + 1\nkeepalive = max(3, 5)", "", {}),
    ("A = B = 4\nworkers = A\nA = 9\nthreads = B if False else 7", "", {}),
]


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_a_configuration_is_read_as_gunicorn_reads_it(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart from what is said to be unknown."""
    folders = [tmp_path / str(number) for number in range(len(CASES))]
    for folder, (source, _, _) in zip(folders, CASES):
        write({"gunicorn.conf.py": source + "\n"}, folder)
    asked = [(str(folder), line, environment) for folder, (_, line, environment) in zip(folders, CASES)]
    answers = python(version, ASK, told=json.dumps([SETTINGS, asked]) + "\n")
    for folder, (source, line, environment), theirs in zip(folders, CASES, answers):
        monkeypatch.chdir(folder)
        known = Asked(command=f"gunicorn {line} app:app", environment=environment, system=str(tmp_path))
        (service,) = gather(known).services
        ours = {name: service.setting(name) for name in SETTINGS}
        for name, value in ours.items():
            if value.is_known:
                told = [value.value] if name == "bind" and isinstance(value.value, str) else value.value
                assert told == theirs[name], (source, line, name)
        unknown = {name for name, value in ours.items() if not value.is_known}
        assert unknown == ({"threads"} if " if False " in source else set()), source
