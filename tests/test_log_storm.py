"""Real servers whose clients leave in every way say nothing of it, and everything about what goes wrong."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import leaving
import pytest
from capture import APPLICATIONS_FAULT
from servers import missing, serving

ABOUT_PEERS = re.compile(
    r"Traceback|\[(?:WARNING|ERROR|CRITICAL)\]|\b(?:WARNING|ERROR|CRITICAL)\b|Errno|roken pipe|reset by peer|timed out|"
    r"raised exception|shutdown error|Disconnect|Exception|nvalid session"
)
SETTLES = 8.0


def wsgi(port: int) -> None:
    leaving.reset_in_head(port)
    leaving.reset_in_response(port)
    leaving.stall(port)


def django(port: int) -> None:
    for abruptly in (True, False):
        leaving.abort_upload(port, "/form", abruptly=abruptly, kind="application/x-www-form-urlencoded")
        leaving.abort_upload(port, "/upload", abruptly=abruptly)
    leaving.reset_in_response(port)


def asgi(port: int) -> None:
    for leave in ("reset", "fin", "close"):
        for path in ("/receive", "/push", "/task"):
            leaving.websocket(port, path, leave=leave)
    for abruptly in (True, False):
        leaving.abort_upload(port, "/read", abruptly=abruptly)
    leaving.reset_in_response(port, "/endless?yield")


def socketio(port: int) -> None:
    leaving.get(port, "/socket.io/?EIO=4&transport=polling&sid=ended")
    leaving.post(port, leaving.begin_polling(port), leaving.event("slow"))
    leaving.post(port, leaving.begin_polling(port), leaving.event("x"), length=100_000, abruptly=True)
    for leave in ("reset", "fin", "close") * 5:
        leaving.socketio_over_websocket(port, leave=leave)


def emit(port: int, bug: str) -> None:
    leaving.post(port, leaving.begin_polling(port), leaving.event("fail", bug))


#: By the time it is used, the number may be something else's.
CLOSED_TWICE = r"Errno 9\]|Errno 88\]|Errno 22\]|closed its server's connection|OwnershipViolation"
BUGS = {"bug": "ValueError: a bug in a handler", "no_answer": "the database does not answer"}
APPLICATIONS: dict[str, tuple[Callable[[int], None], Callable[[int, str], object], dict[str, str]]] = {
    "wsgi_app": (
        wsgi,
        lambda port, bug: leaving.get(port, f"/{bug}"),
        {**BUGS, "close_twice": CLOSED_TWICE},
    ),
    "django_app": (django, lambda port, bug: leaving.get(port, f"/fail/{bug}"), BUGS),
    "asgi_app": (asgi, lambda port, bug: leaving.get(port, f"/plain/{bug}"), BUGS),
    "sio_app": (socketio, emit, BUGS),
}
SAMPLE = [
    ("gunicorn-27.0.1-gthread", "wsgi_app", ""),
    ("werkzeug", "sio_app", "threading"),
    ("runserver", "django_app", ""),
    ("uvicorn-httptools-websockets-sansio", "asgi_app", ""),
]
THE_REST = [
    *((f"gunicorn-{version}-{worker}", "wsgi_app", "") for version in ("21.2.0", "25.3.0", "27.0.1")
      for worker in ("sync", "gthread", "gevent")),
    ("gunicorn-21.2.0-eventlet", "wsgi_app", ""),
    ("gunicorn-25.3.0-eventlet", "sio_app", "eventlet"),
    ("pywsgi", "wsgi_app", ""),
    ("daphne", "asgi_app", ""),
    ("gunicorn-27.0.1-asgi", "asgi_app", ""),
    ("gunicorn-27.0.1-gthread", "django_app", ""),
    ("gunicorn-27.0.1-gthread", "sio_app", "threading"),
    ("gunicorn-27.0.1-gevent", "sio_app", "gevent"),
    ("werkzeug", "wsgi_app", ""),
    ("eventlet.wsgi", "wsgi_app", ""),
    ("eventlet.wsgi", "sio_app", "eventlet"),
    ("pywsgi", "sio_app", "gevent"),
    ("uvicorn-h11-wsproto", "asgi_app", ""),
    ("uvicorn-httptools-websockets", "asgi_app", ""),
]  # fmt: skip


def storm(stack: str, app: str, mode: str, home: Path, rounds: int) -> None:
    if gone := missing(stack):
        pytest.skip(f"{gone} is not installed")
    log = home / "log"
    leave, fail, bugs = APPLICATIONS[app]
    environment = {"CAPTURED_MODE": mode} if mode else {}
    guarded = stack.startswith("gunicorn") and not stack.endswith("asgi")
    with serving(stack, app, log, guarded=guarded, HANGUP="on", **environment) as port:
        leaving.get(port, "/")
        before = len(log.read_text())  # what it says of its own beginnings
        for _ in range(rounds):
            leave(port)
        time.sleep(1.2)  # nothing shows that no more lines come
        heard = [line for line in log.read_text()[before:].splitlines() if ABOUT_PEERS.search(line)]
        heard = [line for line in heard if APPLICATIONS_FAULT not in line]
        assert heard == [], log.read_text()[-6000:]
        if stack == "werkzeug":  # it hides every timeout
            bugs = {**bugs, "file": "No such file or directory"}
            del bugs["no_answer"]
        for bug, wanted in bugs.items():
            fail(port, bug)
            deadline = time.monotonic() + SETTLES
            while not re.search(wanted, log.read_text()):
                assert time.monotonic() < deadline, f"no {wanted!r} in:\n{log.read_text()[-6000:]}"
                time.sleep(0.05)


@pytest.mark.parametrize(("stack", "app", "mode"), SAMPLE)
def test_only_what_is_wrong_is_heard(stack: str, app: str, mode: str, tmp_path: Path) -> None:
    """One round of leaving, then a bug, a database that is gone, and where a descriptor can be closed, its close."""
    storm(stack, app, mode, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "app", "mode"), [*SAMPLE, *THE_REST])
def test_only_what_is_wrong_is_heard_in_a_long_storm(stack: str, app: str, mode: str, tmp_path: Path) -> None:
    """As many rounds as ``STORM_ROUNDS`` says."""
    storm(stack, app, mode, tmp_path, int(os.environ.get("STORM_ROUNDS", "5")))
