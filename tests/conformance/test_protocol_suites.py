"""The official suites of the Socket.IO and Engine.IO protocols, played to the same service stock and with hangup.

Not all of the cases hold for python-socketio. The gate: none that stock passes fails with hangup.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from protocol_suites import SUITES, Outcome, play, prepare
from socketio_protocol_app import APP

pytest.importorskip("socketio")
pytest.importorskip("simple_websocket")

OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"
#: Cases that stock passes, at least: fewer would compare nothing.
LEAST = {"socket.io": 20, "engine.io": 8}


class Stack(NamedTuple):
    """gunicorn, its worker, Socket.IO's model, and what it needs."""

    version: str
    worker: str
    mode: str
    needs: str
    #: Not to be found by engineio: gevent-websocket needs a worker of its own.
    hidden: str = ""
    #: The oldest python-socketio instead of the installed one.
    old: bool = False

    def __str__(self) -> str:
        return f"{self.worker}-{self.version}{'-old' if self.old else ''}"


GTHREAD = Stack("27.0.1", "gthread", "threading", "")
GEVENT = Stack("27.0.1", "gevent", "gevent", "gevent", hidden="geventwebsocket")
STACKS = [
    GTHREAD,
    GTHREAD._replace(old=True),
    GEVENT,
    GEVENT._replace(old=True),
    Stack("25.3.0", "eventlet", "eventlet", "eventlet"),
]


@contextlib.contextmanager
def serve(directory: Path, stack: Stack, mode: str) -> Iterator[Gunicorn]:
    """The service, with ``HANGUP=mode``. Stock has as many threads as clients: its best is the measure."""
    directory.mkdir()
    if stack.old:
        for package in ("socketio", "engineio"):
            (directory / package).symlink_to(OLD / package)
    threads = {"off": "64", "on": "4"}[mode]
    args = ["-c", "python:hangup.gunicorn", "-k", stack.worker]
    args += ["--threads", threads] if stack.worker == "gthread" else []
    env = {"HANGUP": mode, "MODE": stack.mode, "HIDDEN": stack.hidden}
    with gunicorn(directory, *args, app=APP, version=stack.version, **env) as server:
        facts = server.ask()
        assert (str(directory) in facts["engineio"]) == stack.old
        yield server


def compare(name: str, directory: Path, stack: Stack, *, only: str = "", may_clone: bool) -> Outcome:
    """What stock passes; fails if hangup passes less."""
    if stack.needs:
        pytest.importorskip(stack.needs)
    if stack.old and not (OLD / "ready").exists():
        pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
    suite = prepare(name, directory, may_clone=may_clone)
    with serve(directory / "stock", stack, "off") as server:
        stock = play(suite, server.port, only)
    with serve(directory / "hangup", stack, "on") as server:
        before = server.ask()
        ours = play(suite, server.port, only)
        last: dict[str, Any] = {}

        def all_left() -> bool:
            last.update(server.ask())
            return bool(last["open"] <= before["open"])

        assert server.wait_until(all_left, 15), last
        assert last["websockets"] > 0
    worse = stock.passed - ours.passed
    assert {title: ours.failed.get(title, "not run") for title in worse} == {}
    return stock


@pytest.mark.parametrize("name", list(SUITES))
def test_messages_are_as_good_as_stock(tmp_path: Path, name: str) -> None:
    """The cases about messages, if the suite is here."""
    stock = compare(name, tmp_path, GTHREAD, only=" protocol message ", may_clone=False)
    assert len(stock.passed) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SUITES))
@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_every_case_is_as_good_as_stock(tmp_path: Path, name: str, stack: Stack) -> None:
    """Handshakes, heartbeats, upgrades, closes, namespaces, acknowledgements, binary."""
    stock = compare(name, tmp_path, stack, may_clone=True)
    assert len(stock.passed) >= LEAST[name]
