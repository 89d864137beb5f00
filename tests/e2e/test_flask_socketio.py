"""What handlers of Flask-SocketIO see of their request is the same stock and natively, event after event."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from deployments.clients import Poller
from e2e_gunicorn import gunicorn

websocket = pytest.importorskip("websocket")
pytest.importorskip("flask_socketio")

APP = """
import os
import flask
from flask import Flask, request, session, g, url_for
from flask_socketio import SocketIO, emit
app = Flask(__name__, subdomain_matching=False)
app.config["SECRET_KEY"] = "not secret"
socketio = SocketIO(app, async_mode="threading", cors_allowed_origins="*")
seen = []

@app.teardown_request
def count(error):
    g.torn = True

@app.get("/items/<int:number>")
def item(number):
    return "ready"

@app.get("/")
def ready():
    return {"pid": os.getpid()}

@socketio.on("look")
def look(data):
    session["looks"] = session.get("looks", 0) + 1
    seen.append(request._get_current_object())
    emit("seen", {
        "path": request.path, "host": request.host, "url": request.base_url, "event": request.event,
        "rule": str(request.url_rule), "routing": repr(request.routing_exception),
        "args": dict(request.view_args or {}),
        "endpoint": request.endpoint, "header": request.headers.get("X-Test"), "cookies": dict(request.cookies),
        "item": url_for("item", number=7), "away": url_for("item", number=7, _external=True),
        "looks": session["looks"], "another": all(one is not seen[-1] for one in seen[:-1]), "fresh": "torn" not in g,
        "app": flask.current_app._get_current_object() is app,
    })
"""


def looks(directory: Path, mode: str) -> list[Any]:
    """What two clients are told of three events each."""
    directory.mkdir()
    args = ["-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4"]
    told = []
    with gunicorn(directory, *args, app=APP, HANGUP=mode) as server:
        server.ask()
        for name in ("first.example", "second.example:8080"):
            client = websocket.create_connection(
                f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket",
                timeout=20, host=name, header=["X-Test: yes"], cookie="color=blue",
            )  # fmt: skip
            assert client.recv().startswith("0{")
            client.send("40")
            assert client.recv().startswith("40{")
            for number in range(3):
                client.send(f'42["look",{number}]')
                told.append(json.loads(client.recv()[2:])[1])
            client.close()
    return told


def test_the_request_of_an_event_is_the_stock_one(tmp_path: Path) -> None:
    """Every event has a request of its own, with the routing of its connection's URL, of two hosts."""
    natively = looks(tmp_path / "on", "on")
    assert [one["looks"] for one in natively] == [1, 2, 3] * 2
    assert {one["away"] for one in natively} == {
        "http://first.example/items/7",
        "http://second.example:8080/items/7",
    }
    assert natively == looks(tmp_path / "off", "off")


@pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
def test_a_poll_that_leaves_its_thread_is_no_error(tmp_path: Path, version: str) -> None:
    """Flask-SocketIO gives Engine.IO a copy of the environ: gunicorn never sees what is noted there."""
    args = ["-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4"]
    with gunicorn(tmp_path, *args, app=APP, version=version) as server, contextlib.ExitStack() as kept:
        server.ask()
        clients = [Poller(("127.0.0.1", server.port)) for _ in range(4)]
        polls = [kept.enter_context(client.polling()) for client in clients]
        for client in clients:
            client.send('42["look",1]')
        for poll in polls:
            poll.settimeout(20)
            assert b"42[" in b"".join(iter(lambda poll=poll: poll.recv(4096), b""))
        assert "Traceback" not in server.log
