"""What stock servers of today log when their clients leave: started here, left by real clients, and sorted."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import capture
import leaving
import pytest
from hangup._demo.server import MissingGunicorn, Server, Stack
from hangup._explain.families import Families, Kind
from hangup._explain.reading import Log
from servers import missing, serving


def counts(path: Path) -> dict[tuple[str, Optional[str]], int]:
    """How many of each kind and code; bugs by their exception."""
    families = Families()
    with path.open("rb") as stream:
        Log(families.add).read(stream, str(path))
    found = {}
    for family in families.sorted():
        raised = family.first.verdict.raised
        found[family.kind.value, family.code or (raised and raised.type)] = family.count
        if family.kind is Kind.BUG:
            assert family.place is not None
            assert family.place.path.endswith("scenes.py"), family.example
    return found


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_sockets_that_the_application_closed_are_an_ownership_violation(version: str) -> None:
    """In stock gunicorn: each is HUP001, and none is noise."""
    try:
        with Server(Stack(gunicorn=version, worker="gthread"), "app_closer") as server:
            for _ in range(5):
                leaving.get(server.address[1], "/take")
            assert server.wait_log(r"(?s)(Bad file descriptor.*){5}", 10)
            server.wait_log_quiet()
            assert counts(server.directory / "log") == {("trouble", "HUP001"): 5}
    except MissingGunicorn as gone:
        pytest.skip(str(gone))


def test_clients_of_socketio_that_leave_are_told_from_bugs_of_its_handlers(tmp_path: Path) -> None:
    """gunicorn 27, gthread: a session that ended while a handler used it, and a handler that fails."""
    stack = "gunicorn-27.0.1-gthread"
    if gone := missing(stack):
        pytest.skip(f"{gone} is not installed")
    log, captured = tmp_path / "log", tmp_path / "captured"
    captured.write_text("")
    (tmp_path / "captured.scene").write_text("live")
    environment = {"CAPTURED_TO": str(captured), "CAPTURED_MODE": "threading", "HANGUP": "observe"}
    wanted = ("a handler uses a session that ended", "bug", "database")
    with serving(stack, "sio_app", log, **environment) as port:
        for scene in capture.socketio(stack):
            if scene.name in wanted:
                scene.play(port)
        capture._settle(captured, "live")
    assert counts(log) == {
        ("noise", "HUP006"): 1,
        ("bug", "ValueError"): 1,
        ("bug", "ConnectionResetError"): 1,
    }
