"""Runs the stacks, has clients leave and applications fail, and writes ``records.jsonl``.

Run it in this directory: ``python capture.py``, for some stacks ``python capture.py uvicorn``.

Each scene is one way to leave (``left``: its records are about a client) or one bug (``stays``). Records that differ in
nothing but figures are written once.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import leaving
from scenes import BUGS
from servers import GUNICORNS, HERE, missing, serving

#: What daphne says of an application that does not look whether its client is there.
APPLICATIONS_FAULT = "took too long to shut down and was killed"


class Scene(NamedTuple):
    name: str
    verdict: str
    play: Callable[[int], object]


def wsgi(stack: str) -> Iterator[Scene]:
    yield Scene("a client that takes nothing", "left", leaving.stall)
    yield Scene("a reset in the response", "left", leaving.reset_in_response)
    yield Scene("a reset in the head of a request", "left", leaving.reset_in_head)
    for bug in BUGS:
        yield Scene(bug, "stays", lambda port, bug=bug: leaving.get(port, f"/{bug}"))  # type: ignore[misc]
    if "eventlet" not in stack and "gevent" not in stack and "pywsgi" not in stack:
        yield Scene("database, in a thread", "stays", lambda port: leaving.get(port, "/thread/database"))
    yield Scene(
        "the server's descriptor closed twice", "stays", lambda port: leaving.get(port, "/close_twice")
    )


def django(stack: str) -> Iterator[Scene]:
    for path in ("/upload", "/form"):
        for abruptly in (True, False):
            kind = "application/x-www-form-urlencoded"
            yield Scene(
                f"an upload to {path} ends by a {'reset' if abruptly else 'FIN'}",
                "left",
                lambda port, path=path, abruptly=abruptly, kind=kind: leaving.abort_upload(  # type: ignore[misc]
                    port, path, abruptly=abruptly, kind=kind
                ),
            )
    if stack == "runserver":
        yield Scene("a client that takes nothing", "left", leaving.stall)
        yield Scene("a reset in the response", "left", leaving.reset_in_response)
        yield Scene(
            "a reset before the request",
            "left",
            lambda port: leaving.reset(leaving.connect(("127.0.0.1", port))),
        )
    for bug in BUGS:
        yield Scene(bug, "stays", lambda port, bug=bug: leaving.get(port, f"/fail/{bug}"))  # type: ignore[misc]


def asgi(stack: str) -> Iterator[Scene]:
    for leave in ("reset", "fin", "close"):
        for path in ("/receive", "/push", "/task"):
            yield Scene(
                f"{path}: the client leaves by {leave}",
                "left",
                lambda port, path=path, leave=leave: leaving.websocket(port, path, leave=leave),  # type: ignore[misc]
            )
    yield Scene("an upload ends", "left", lambda port: leaving.abort_upload(port, "/read", abruptly=True))
    yield Scene(
        "an upload ends by FIN", "left", lambda port: leaving.abort_upload(port, "/read", abruptly=False)
    )
    yield Scene(
        "a send after one's own close",
        "stays",
        lambda port: leaving.websocket(port, "/after_close", leave="close", after=0.5),
    )
    for bug in BUGS:
        yield Scene(bug, "stays", lambda port, bug=bug: leaving.get(port, f"/plain/{bug}"))  # type: ignore[misc]
    yield Scene("database, in a task", "stays", lambda port: leaving.get(port, "/background"))
    yield Scene(
        "a reset in the response", "left", lambda port: leaving.reset_in_response(port, "/endless?yield")
    )


def flood(stack: str) -> Iterator[Scene]:
    """By itself: the server has ears for nothing else."""
    yield Scene("a reset in a response of small pieces", "left", leaving.reset_while_reading)


def socketio(stack: str) -> Iterator[Scene]:
    def invalid(port: int) -> None:
        leaving.get(port, "/socket.io/?EIO=4&transport=polling&sid=ended")

    def slow(port: int) -> None:
        leaving.post(port, leaving.begin_polling(port), leaving.event("slow"))

    def body(port: int) -> None:
        leaving.post(
            port, leaving.begin_polling(port), leaving.event("nothing"), length=100_000, abruptly=True
        )

    def websockets(port: int) -> None:
        for leave in ("reset", "fin", "close") * 20:
            leaving.socketio_over_websocket(port, leave=leave)

    yield Scene("a session that is over", "left", invalid)
    yield Scene("a packet ends by a reset", "left", body)
    yield Scene("a handler uses a session that ended", "left", slow)
    yield Scene("double closes of WebSockets", "stays", websockets)
    for bug in BUGS:
        yield Scene(
            bug,
            "stays",
            lambda port, bug=bug: leaving.post(  # type: ignore[misc]
                port, leaving.begin_polling(port), leaving.event("fail", bug)
            ),
        )


def plan() -> Iterator[tuple[str, str, Callable[[str], Iterator[Scene]], dict[str, str]]]:
    workers = ("sync", "gthread", "gevent", "eventlet")
    for version in GUNICORNS:
        for worker in workers[: 3 if version == "27.0.1" else 4]:
            yield f"gunicorn-{version}-{worker}", "wsgi_app", wsgi, {}
    for stack in ("werkzeug", "pywsgi", "eventlet.wsgi"):
        yield stack, "wsgi_app", wsgi, {}
    for stack in ("runserver", "gunicorn-27.0.1-gthread", "gunicorn-27.0.1-gevent", "werkzeug"):
        yield stack, "django_app", django, {}
    asgis = (
        "daphne",
        "uvicorn-h11-wsproto",
        "uvicorn-httptools-websockets",
        "uvicorn-httptools-websockets-sansio",
    )
    for stack in (*asgis, "gunicorn-25.3.0-asgi", "gunicorn-27.0.1-asgi"):
        yield stack, "asgi_app", asgi, {}
        yield stack, "asgi_app", flood, {}
    for stack, mode in (
        ("gunicorn-21.2.0-gthread", "threading"),
        ("gunicorn-27.0.1-gthread", "threading"),
        ("werkzeug", "threading"),
        ("gunicorn-27.0.1-gevent", "gevent"),
        ("pywsgi", "gevent"),
        ("gunicorn-25.3.0-eventlet", "eventlet"),
        ("eventlet.wsgi", "eventlet"),
    ):
        yield stack, "sio_app", socketio, {"CAPTURED_MODE": mode}


def _settle(written: Path, scene: str) -> None:
    """Waits until no more is written; if the scene is named, first for something of it."""
    begun = time.monotonic()
    while scene and f'"scene": "{scene}"' not in written.read_text() and time.monotonic() < begun + 10:
        time.sleep(0.05)
    settled, size = time.monotonic() + 0.5, -1
    while (time.monotonic() < settled or size != written.stat().st_size) and time.monotonic() < settled + 3:
        size = written.stat().st_size
        time.sleep(0.2)


def capture(
    stack: str,
    app: str,
    scenes: Iterator[Scene],
    home: Path,
    environment: dict[str, str],
    *,
    each_says_something: bool = False,
) -> list[dict[str, object]]:
    """The records of all scenes, each with its verdict. Under load a scene has to be waited for that says something."""
    written = home / "captured"
    current = home / "captured.scene"
    written.write_text("")
    current.write_text("start")
    found: list[dict[str, object]] = []
    with serving(stack, app, home / "log", CAPTURED_TO=str(written), HANGUP="observe", **environment) as port:
        for scene in scenes:
            current.write_text(scene.name)
            try:
                scene.play(port)
            except OSError as error:
                print(f"{stack}: {scene.name}: {error}", file=sys.stderr)
            _settle(written, scene.name if each_says_something else "")
            lines = [json.loads(line) for line in written.read_text().splitlines()]
            for line in lines:
                if line["scene"] == scene.name:
                    found.append(
                        {
                            **line,
                            "verdict": "stays" if APPLICATIONS_FAULT in line["message"] else scene.verdict,
                        }
                    )
    return found


def main() -> None:
    """Everything, or the stacks whose names contain an argument."""
    corpus = HERE / "records.jsonl"
    wanted = sys.argv[1:]
    kept = (
        [json.loads(line) for line in corpus.read_text().splitlines()] if wanted and corpus.exists() else []
    )
    records: list[dict[str, object]] = []
    for stack, app, scenes, environment in plan():
        if wanted and not any(word in f"{stack}/{app}" for word in wanted):
            continue
        if gone := missing(stack):
            print(f"SKIPPED: {stack}: {gone} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "log").touch()
            found = capture(stack, app, scenes(stack), Path(home), environment)
            if os.environ.get("SHOW_LOG"):
                print((Path(home) / "log").read_text()[-6000:])
        for record in found:
            record["app"] = app
        print(f"{stack}/{app}: {len(found)}", file=sys.stderr)
        records += found
    fresh = {(record["stack"], record["app"]) for record in records}
    records = [record for record in kept if (record["stack"], record["app"]) not in fresh] + records
    seen = set()
    with corpus.open("w") as file:
        for record in records:
            figures = {key: value for key, value in record.items() if key not in ("message",)}
            key = json.dumps(figures)
            if key not in seen:
                seen.add(key)
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
