"""Starts a server of every stack on a port of the kernel's choice, and finds that port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hangup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DAPHNE = ROOT / ".daphne" / "4"  # not among the others: see the Makefile
GUNICORNS = ("21.2.0", "23.0.0", "25.3.0", "27.0.1")

_PYTHON = {
    "werkzeug": "from {app} import application as app; from werkzeug.serving import run_simple; "
    "run_simple('127.0.0.1', 0, app, threaded=True)",
    "pywsgi": "from gevent import monkey; monkey.patch_all(); from gevent.pywsgi import WSGIServer; "
    "from {app} import application as app; WSGIServer(('127.0.0.1', 0), app).serve_forever()",
    "eventlet.wsgi": "import eventlet; eventlet.monkey_patch(); from eventlet import wsgi; "
    "from {app} import application as app; wsgi.server(eventlet.listen(('127.0.0.1', 0)), app)",
    "runserver": "import runpy; runpy.run_path({home!r} + '/django_app.py', run_name='__main__')",
}


def command(stack: str, app: str, *, guarded: bool = False) -> list[str]:
    """``gunicorn-<version>-<worker>``, ``uvicorn-<http>-<ws>``, ``daphne``, or one of those above."""
    name, *how = stack.split("-")
    if name == "gunicorn":
        options = ["-c", "python:hangup.gunicorn"] if guarded else []
        # with threads, gunicorn would replace sync by gthread
        options += [
            "-k",
            how[1],
            "--threads",
            "1" if how[1] == "sync" else "4",
            "-b",
            "127.0.0.1:0",
            "--graceful-timeout",
            "1",
        ]
        return [sys.executable, "-m", "gunicorn", *options, f"{app}:application"]
    if name == "uvicorn":
        options = [
            "--port",
            "0",
            "--http",
            how[0],
            "--ws",
            "-".join(how[1:]),
            "--timeout-graceful-shutdown",
            "1",
        ]
        options += ["--loop", "asyncio" if how[0] == "h11" else "auto"]
        return [sys.executable, "-m", "uvicorn", *options, f"{app}:application"]
    if name == "daphne":
        return [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", "0", f"{app}:application"]
    return [sys.executable, "-c", _PYTHON[stack].format(app=app, home=str(HERE))]


def missing(stack: str) -> str:
    """What the stack cannot run without, if that is not installed."""
    from importlib.util import find_spec

    name, *how = stack.split("-")
    if name == "gunicorn":
        if not (ROOT / ".gunicorn" / how[0] / "ready").exists():
            return f"gunicorn {how[0]}"
        name = {"gevent": "gevent", "eventlet": "eventlet"}.get(how[1], "gunicorn")
    if name == "daphne":
        return "" if (DAPHNE / "ready").exists() else "daphne"
    needs = {"pywsgi": "gevent", "eventlet.wsgi": "eventlet", "runserver": "django"}.get(name, name)
    return "" if find_spec(needs) else needs


@contextlib.contextmanager
def serving(stack: str, app: str, log: Path, *, guarded: bool = False, **environment: str) -> Iterator[int]:
    """The server's port; what it prints is in ``log``."""
    path = [str(HERE), str(Path(hangup.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    if stack == "daphne":
        path.insert(0, str(DAPHNE))
    if stack.startswith("gunicorn"):
        path.insert(0, str(ROOT / ".gunicorn" / stack.split("-")[1]))
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONWARNINGS": "ignore",
        "CAPTURED_STACK": stack,
        **environment,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            command(stack, app, guarded=guarded), cwd=log.parent, env=variables, stdout=output, stderr=output
        )
    try:
        yield port_of(process, log)
    finally:
        process.send_signal(signal.SIGINT if stack == "daphne" else signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    """Where it listens, once it does."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        inodes = set()
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{process.pid}/fd"):
                inodes.add(os.readlink(f"/proc/{process.pid}/fd/{name}"))
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                return int(fields[1].partition(":")[2], 16)
        time.sleep(0.02)
    raise AssertionError(f"it does not listen:\n{log.read_text()}")
