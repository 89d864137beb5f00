"""Whatever bytes are in the files: notices and findings, never an exception, and never for long."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from doctor.projects import APP, NGINX, SETTINGS, START, STOCK, UNIT
from hangup._doctor import Asked, examine, gather, mend
from hangup._doctor.report import as_json, lines
from hangup._printable import printable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

NAMES = {
    "gunicorn.conf.py": STOCK,
    "app.py": APP,
    "nginx.conf": NGINX,
    "board.service": UNIT,
    "Procfile": "web: gunicorn -w ${N:-4} app:app --bind 'a b'\n",
    "Dockerfile": 'FROM a\nENV A=1 B="2"\nENTRYPOINT ["gunicorn"]\nCMD ["app:app"]\n',
    "compose.yaml": "services:\n  a: &x\n    command: [gunicorn, app]\n  b:\n    <<: *x\n    environment: [A=1]\n",
    "start.sh": '#!/bin/sh\nA=1\nexec gunicorn "$@" \\\n -w $(nproc)\n',
    "requirements.txt": "gunicorn==25.3.0 # x\nflask-socketio[a]>=5\n-r b\n",
    "pyproject.toml": '[project]\ndependencies = ["gunicorn==25.3.0"]\n',
    "manage.py": START,
    "board/settings.py": SETTINGS,
    "index.html": '<script src="/socket.io-client@2.3.0/x.js">',
}
SOURCES = sorted(NAMES.items())
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of one of the kinds: any bytes, or its own with a piece of them replaced."""
    name, content = draw(st.sampled_from(SOURCES))
    junk = draw(
        st.binary(max_size=60) | st.sampled_from([b"{", b"}", b"\\", b"'", b"(", b"\0", b"\n", b"$", b"*"])
    )
    if draw(st.booleans()):
        return name, junk
    source = content.encode()
    start = draw(st.integers(0, len(source)))
    return name, source[:start] + junk + source[start + draw(st.integers(0, 40)) :]


def look(files: dict[str, bytes]) -> str:
    """All that is done with a folder, but writing."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {**{n: c.encode() for n, c in NAMES.items()}, **files}.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        facts = gather(Asked((folder,), environment={}))
        found = examine(facts)
        mend.changes(found)
        as_json(facts, found, 0.0)
        return "\n".join(printable(line) for _, line in lines(facts, found, 0.0, 1))


@QUICK
@given(broken())
@example(("gunicorn.conf.py", b"x = " + b"(" * 5000))
@example(("gunicorn.conf.py", b"x = " + b"1+" * 20000 + b"1"))
@example(
    ("gunicorn.conf.py", b"workers = 'x' * 10 ** 9\nthreads = 9 ** 9 ** 9\ntimeout = 1 // 0\nbind = {[]: 1}")
)
@example(
    (
        "gunicorn.conf.py",
        b"workers = 1e400\nthreads = -1e400\nkeepalive = float('nan')\ntimeout = True\nbacklog = 'x'",
    )
)
@example(("gunicorn.conf.py", b"bind = 8000\nworker_class = 7\nreload = 'yes'\nthreads = None"))
@example(("gunicorn.conf.py", b"from gunicorn.conf import *\nfrom . import *\nfrom conf import *"))
@example(
    (
        "board/settings.py",
        b"MIDDLEWARE = 7\nCHANNEL_LAYERS = [1]\nDATABASES = {1: 2}\nHANGUP = 7\nINSTALLED_APPS = 1",
    )
)
@example(("board/settings.py", b"from .settings import *\nfrom board.settings import *"))
@example(("nginx.conf", b"http {" * 3000))
@example(("nginx.conf", b"include nginx.conf;\ninclude /dev/zero;\ninclude;\ninclude *;"))
@example(
    (
        "nginx.conf",
        b"server { location { proxy_pass; } location / { proxy_pass http://a; proxy_set_header; } upstream; }",
    )
)
@example(
    ("nginx.conf", b"http { upstream a { server; } server { location ~ (a+)+$ { proxy_pass http://a; } } }")
)
@example(("compose.yaml", b"services: &a\n  <<: *a\n  b: *a\n"))
@example(
    ("compose.yaml", b"services:\n  a: &x\n   [gunicorn, app]\n  b:\n    <<: *x\n    environment: [A=1]\n")
)
@example(
    (
        "compose.yaml",
        b"services:\n  a: {command: {x: y}, environment: 7, deploy: [1], stop_grace_period: x}\n",
    )
)
@example(("compose.yaml", b"[" * 5000))
@example(("pyproject.toml", b"package = 7\nproject = 7\ntool = 7"))
@example(
    (
        "board.service",
        b"[Service]\nExecStart='\nTimeoutStopSec=" + b"9" * 400 + b"\nStartLimitBurst=x\nRestart=always\n",
    )
)
@example(("Procfile", b"web: " + b"gunicorn -w " + b"9" * 5000))
@example(("Dockerfile", b"CMD " + b"[" * 5000))
def test_any_bytes(file: tuple[str, bytes]) -> None:
    """And no control character of them is told to a terminal."""
    name, content = file
    assert all(each.isprintable() or each == "\n" for each in look({name: content}))


@pytest.mark.parametrize("kind", ["fifo", "folder", "nowhere", "loop", "huge", "forbidden"])
def test_what_is_no_readable_file(kind: str, tmp_path: Path) -> None:
    """Of each name that is read: nothing waits for it."""
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "huge":
            path.write_bytes(b"a" * (2 << 20))
        elif kind == "forbidden":
            path.write_text("x")
            path.chmod(0)
        else:
            path.symlink_to("nowhere" if kind == "nowhere" else path)
    assert isinstance(examine(gather(Asked((str(tmp_path),), environment={}))), list)


def test_a_folder_with_too_much_in_it_is_looked_at_in_part(tmp_path: Path) -> None:
    """And that is said."""
    for number in range(5100):
        (tmp_path / f"{number}.txt").touch()
    facts = gather(Asked((str(tmp_path),), environment={}))
    assert any("only the first" in notice.text for notice in facts.notices)
