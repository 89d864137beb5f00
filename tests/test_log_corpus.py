"""Records that real servers logged, when clients left and when something was wrong, judged as then."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import capture
import pytest
from hangup import logfilter
from replay import Record, corpus, name_of, replay
from servers import missing

CORPUS = corpus()


def test_the_corpus_has_every_stack_and_both_kinds() -> None:
    """Sixty records at least, of clients and of bugs, on each stack."""
    assert len(CORPUS) >= 60
    kinds = collections.Counter((record["stack"].partition("-")[0], record["verdict"]) for record in CORPUS)
    stacks = {stack for stack, _ in kinds}
    assert stacks >= {"gunicorn", "werkzeug", "pywsgi", "eventlet.wsgi", "runserver", "daphne", "uvicorn"}
    assert all(kinds[stack, "stays"] for stack in stacks), kinds
    assert sum(record["verdict"] == "left" for record in CORPUS) >= 20


@pytest.mark.parametrize("stack", sorted({record["stack"] for record in CORPUS}))
def test_every_record_is_judged_as_its_scene_says(stack: str) -> None:
    """All of those about clients are turned down, and no other."""
    records = [record for record in CORPUS if record["stack"] == stack]
    wrong = [
        name_of(record)
        for record in records
        if (replay(record, logfilter.departure) is not None) != (record["verdict"] == "left")
    ]
    assert wrong == []


SAMPLE = [
    ("gunicorn-27.0.1-gthread", "wsgi_app", capture.wsgi, ("a client that takes nothing", "no_answer")),
    ("werkzeug", "sio_app", capture.socketio, ("a session that is over", "bug")),
    ("uvicorn-h11-wsproto", "asgi_app", capture.asgi, ("/receive: the client leaves by reset", "database")),
]


@pytest.mark.parametrize(("stack", "app", "scenes", "wanted"), SAMPLE, ids=[row[0] for row in SAMPLE])
def test_servers_of_today_log_what_was_recorded(
    stack: str, app: str, scenes: Any, wanted: tuple[str, ...], tmp_path: Path
) -> None:
    """A few scenes are captured now: the records are the same, and so are the verdicts."""
    if gone := missing(stack):
        pytest.skip(f"{gone} is not installed")
    played = (scene for scene in scenes(stack) if scene.name in wanted)
    found = capture.capture(
        stack, app, played, tmp_path, {"CAPTURED_MODE": "threading"}, each_says_something=True
    )
    recorded = {_gist(record) for record in CORPUS if (record["stack"], record["app"]) == (stack, app)}
    assert {record["scene"] for record in found} == set(wanted)
    for record in found:
        assert _gist(record) in recorded
        assert (replay(record, logfilter.departure) is not None) == (record["verdict"] == "left")


def _gist(record: Record) -> tuple[object, ...]:
    raised = record.get("raised") or record.get("handled") or {}
    return record["scene"], record["logger"], raised.get("type"), raised.get("errno"), record["verdict"]
