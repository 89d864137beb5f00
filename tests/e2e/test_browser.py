"""Pages in a real browser, Chromium, against native WebSockets."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, chromium
from e2e_gunicorn import gunicorn
from hangup._demo.server import wait_until
from journal_app import GEVENT, GTHREAD, JS, WAYS, Stack, ends, serve
from test_javascript import EXPECTED, POLLING, UPGRADE, WEBSOCKET

#: As pages see them; the others are talked to by Node.
STACKS: list[Stack] = [GTHREAD, GEVENT]
IDS = ["gthread", "gevent"]

FLASK_SOCK = """
import os
from flask import Flask, send_from_directory
from flask_sock import Sock
app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": 100_000}
sock = Sock(app)

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

@sock.route("/once")
def once(ws):
    ws.send(ws.receive())

@sock.route("/reason")
def reason(ws):
    ws.send(ws.receive())
    ws.close(4001, "as agreed")

@app.get("/page.html")
def page():
    return send_from_directory(os.environ["JS"], "page.html")

@app.get("/conversation.js")
def conversation():
    return send_from_directory(os.environ["JS"], "conversation.js")

@app.get("/socket.io.js")
def no_bundle():
    return "", 200, {"Content-Type": "text/javascript"}

@app.get("/")
def facts():
    import hangup
    return {"pid": os.getpid(), **hangup.stats()}
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """With a profile of its own."""
    with chromium(tmp_path) as browser:
        yield browser


def test_a_page_and_its_tab_and_its_service(tmp_path: Path, browser: Browser) -> None:
    """A conversation, a worker that is killed, a reload, and a tab that is closed: each is noticed, once."""
    with serve(tmp_path, GTHREAD) as service:
        browser("open", f"{service.url}/page.html")
        transports = ["polling", "websocket"]
        report = browser("evaluate", f"converse({json.dumps({'transports': transports})})")
        assert report == {**EXPECTED, "transport": "websocket"}
        assert wait_until(service.left_once, 5)
        browser("evaluate", "stay({transports: ['websocket']})")
        assert wait_until(lambda: len(browser.heard("here")) == 1, 10)
        os.kill(service.server.ask()["pid"], signal.SIGKILL)
        assert wait_until(lambda: len(browser.heard("here")) == 2, 20)
        assert browser.heard("disconnect") == ["transport close"]
        browser("reload")
        assert wait_until(lambda: service.left_once(killed=1), 5)
        browser("evaluate", "stay({transports: ['websocket']})")
        assert wait_until(lambda: len(browser.heard("here")) == 1, 10)
        browser("close")
        assert wait_until(lambda: service.left_once(killed=1), 5)
        assert "Traceback" not in service.server.log


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS, ids=IDS)
@pytest.mark.parametrize("transports", [UPGRADE, WEBSOCKET, POLLING], ids="+".join)
def test_a_conversation(tmp_path: Path, browser: Browser, stack: Stack, transports: list[str]) -> None:
    """The same as in Node."""
    with serve(tmp_path, stack) as service:
        browser("open", f"{service.url}/page.html")
        report = browser("evaluate", f"converse({json.dumps({'transports': transports})})")
        assert report == {**EXPECTED, "transport": transports[-1]}
        assert wait_until(service.left_once, 5)
        assert "Traceback" not in service.server.log


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "reload", "crash"])
@pytest.mark.parametrize("stack", STACKS, ids=IDS)
def test_a_page_that_goes_is_seen_to_go(tmp_path: Path, browser: Browser, stack: Stack, how: str) -> None:
    """At once, and not by its silence, however it goes."""
    with serve(tmp_path, stack, TICKING="1") as service:
        browser("open", f"{service.url}/page.html")
        browser("evaluate", "stay({transports: ['websocket']})")
        assert wait_until(lambda: len(browser.heard("tick")) > 0, 10)
        browser(how)
        assert wait_until(service.left_once, 2)
        if not stack[4]:
            assert [reason for _, reason in service.journal("disconnect")] == ["transport close"]
        assert "Traceback" not in service.server.log


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("stack", STACKS, ids=IDS)
def test_a_page_comes_back_when_its_worker_is_gone(
    tmp_path: Path, browser: Browser, stack: Stack, how: str
) -> None:
    """As a client in Node does."""
    limit = ["--max-requests", "20"] if how == "max_requests" else []
    with serve(tmp_path, stack, *limit, TICKING="1") as service:
        browser("open", f"{service.url}/page.html")
        browser("evaluate", "stay({transports: ['websocket']})")
        assert wait_until(lambda: len(browser.heard("tick")) > 0, 10)
        first = browser.heard("here")[0]["pid"]
        ends(service, how, first)
        assert wait_until(lambda: len(browser.heard("here")) == 2, 20)
        came = len(browser.heard("tick"))
        assert wait_until(lambda: len(browser.heard("tick")) > came, 10)
        assert browser.heard("here")[1]["pid"] != first
        assert browser.heard("disconnect") == ["transport close"]
        assert "Traceback" not in service.server.log


@pytest.mark.slow
@pytest.mark.parametrize(("worker", "needs"), [("gthread", ""), ("gevent", "gevent")])
def test_a_plain_websocket_sees_every_close_code(
    tmp_path: Path, browser: Browser, worker: str, needs: str
) -> None:
    """flask-sock's handlers: theirs, the page's own, a message too big, and the worker's end."""
    pytest.importorskip("flask_sock")
    if needs:
        pytest.importorskip(needs)
    args = ["-c", "python:hangup.gunicorn", "-k", worker, *(["--threads", "4"] if not needs else [])]
    with gunicorn(tmp_path, *args, app=FLASK_SOCK, JS=str(JS)) as server:
        server.ask()
        browser("open", f"http://127.0.0.1:{server.port}/page.html")

        def websocket(path: str, messages: list[Any], close: list[Any]) -> dict[str, Any]:
            arguments = ", ".join(map(json.dumps, (path, messages, close or None)))
            result: dict[str, Any] = browser("evaluate", f"websocket({arguments})")
            return result

        messages = ["", "héllo \U0001f600", [0, 1, 255], "x" * 70_000, [7] * 90_000]
        for path, sent, close, code, reason in [
            ("/echo", messages, [1000, "enough"], 1000, "enough"),
            ("/echo", messages, [3000], 3000, ""),
            ("/once", ["x"], [], 1000, ""),
            ("/reason", ["x"], [], 4001, "as agreed"),
        ]:
            said = websocket(path, sent, close)
            assert said == {"came": sent, "code": code, "reason": reason, "wasClean": True}, path
        said = websocket("/echo", ["x" * 100_001], [])
        assert (said["came"], said["code"]) == ([], 1009)
        browser("evaluate", "window.kept = websocket('/echo', ['x']), null")
        assert wait_until(lambda: server.ask()["websockets"] == 6, 10)
        server.process.send_signal(signal.SIGTERM)
        assert browser("evaluate", "kept")["code"] == 1001
        assert "Traceback" not in server.log
