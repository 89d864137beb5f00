"""The order boards of ``examples/``, in real browsers: two people, each with a Chromium of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, chromium
from e2e_gunicorn import Gunicorn
from hangup._demo.server import wait_until
from javascript import require_node
from journal_app import JS
from test_examples import EXAMPLES, get, start
from test_message_queue import Redis

DAPHNE = EXAMPLES.parent / ".daphne" / "4"
UVICORN = ["uvicorn", "--ws", "hangup.uvicorn:WebSocketProtocol", "--fd"]
DAPHNE_FD = ["daphne", "--fd"]


class Person:
    """Somebody at the board."""

    def __init__(self, browser: Browser, name: str, url: str) -> None:
        self._browser = browser
        browser("visit", url)
        browser("fill", ["#sign-in input", name])
        browser("click", "#sign-in button")
        browser("wait", "document.querySelector('#state').className === 'live'")

    def place(self, item: str) -> None:
        """An order."""
        self._browser("fill", ["#place input", item])
        self._browser("click", "#place button")

    def move(self, item: str) -> None:
        """One step further."""
        self._browser("click", f".card:has-text('{item}') button")

    def reads(self, selector: str, *texts: str) -> None:
        """Waits until that is on the page, and nothing else."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)"
        assert wait_until(lambda: self._browser("evaluate", found) == list(texts), 10), (
            self._browser("evaluate", found),
            texts,
        )

    def picture(self, path: Path) -> None:
        """What the page looks like."""
        self._browser("screenshot", str(path))
        assert path.stat().st_size > 5000


class DjangoServer(Gunicorn):
    """The Django board, at a listener that outlives it, so that nobody is refused while it is replaced."""

    def __init__(self, directory: Path, command: list[str], listener: socket.socket, **env: str) -> None:
        self._port: int = listener.getsockname()[1]
        self.log_file = directory / "log"
        path = {"PYTHONPATH": str(DAPHNE)} if command is DAPHNE_FD else {}
        environment = {**os.environ, **path, **env}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, str(listener.fileno()), "project.asgi:application"],
                cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()],
            )  # fmt: skip

    @property
    def port(self) -> int:
        return self._port


@contextlib.contextmanager
def django_server(
    directory: Path, command: list[str], listener: socket.socket, **env: str
) -> Iterator[DjangoServer]:
    """One that is ended."""
    server = DjangoServer(directory, command, listener, **env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def migrated_board(tmp_path: Path) -> Path:
    """A copy of Django's board, which finds out within three seconds that a browser is silent."""
    directory = tmp_path / "board"
    shutil.copytree(EXAMPLES / "django_order_board", directory)
    consumers = directory / "orders" / "consumers.py"
    calm = consumers.read_text()
    hasty = calm.replace("heartbeat = 15.0", "heartbeat, heartbeat_timeout = 1.0, 2.0")
    assert hasty != calm
    consumers.write_text(hasty)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=directory, check=True, timeout=60
    )
    return directory


@contextlib.contextmanager
def two_people(tmp_path: Path, server: Gunicorn) -> Iterator[tuple[Browser, Person, Browser, Person]]:
    """Ada and Bob, who see each other."""
    with chromium(tmp_path, "ada") as ada, chromium(tmp_path, "bob") as bob:
        url = f"http://127.0.0.1:{server.port}/"
        people = Person(ada, "Ada", url), Person(bob, "Bob", url)
        people[0].reads("#here li", "A\nAda (you)", "B\nBob")
        people[1].reads("#here li", "A\nAda", "B\nBob (you)")
        yield ada, people[0], bob, people[1]
        assert ada("complaints") == []


def facts(server: Gunicorn) -> dict[str, Any]:
    """What the board says of itself."""
    said: dict[str, Any] = json.loads(get(server.port, "/hangup"))
    return said


def post(server: Gunicorn, path: str, token: str = "", **fields: str) -> tuple[int, Any]:
    """The status of a request, and what it was answered."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("POST", path, json.dumps(fields), headers)
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if answer.status < 300 else None


def opens(server: Gunicorn, token: str) -> int:
    """The status of a WebSocket's handshake with Django's board."""
    handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    handshake |= {
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": f"http://127.0.0.1:{server.port}",
    }
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", f"/ws/board?token={token}", headers=handshake)
        return connection.getresponse().status


def strangers_are_refused(server: Gunicorn, *paths: str) -> None:
    """Without a token, with a foreign one, and with a name that is none."""
    for path in ("/orders", "/orders/1/status", *paths):
        assert post(server, path)[0] == post(server, path, "a.b.c")[0] == 401
    assert post(server, "/sign-in", name=" ")[0] == 400


def tokens_are_for_one_purpose(server: Gunicorn) -> None:
    """What signs in opens no WebSocket, and what opens one signs nobody in."""
    _, signed = post(server, "/sign-in", name="Ada")
    _, ticket = post(server, "/ticket", signed["token"])
    assert opens(server, "") == opens(server, signed["token"]) == 403
    assert opens(server, ticket["token"]) == 101
    assert post(server, "/orders", ticket["token"], item="Tea")[0] == 401


def orders_come_and_go(ada: Person, bob: Person, pictures: Path) -> None:
    """Ada's orders are on Bob's page, what he does with them is on hers, and only she is told that one is ready."""
    ada.place("Flat white")
    bob.reads(".placed .item", "Flat white")
    ada.place("<b>Two</b> croissants")
    bob.reads(".placed .item", "Flat white", "<b>Two</b> croissants")
    bob.move("Flat white")
    ada.reads(".preparing .item", "Flat white")
    bob.reads(".preparing .item", "Flat white")
    bob.move("Flat white")
    ada.reads(".ready .item", "Flat white")
    ada.reads("#notices li", "Flat white is ready")
    bob.reads(".ready .item", "Flat white")
    bob.reads("#notices li")
    ada.picture(pictures / "ada.png")
    bob.picture(pictures / "bob.png")


def they_are_back(server: Gunicorn, before: int) -> bool:
    """Ada and Bob, at another process than before."""
    said = facts(server)
    return said["pid"] != before and said["here"] == ["Ada", "Bob"]


def orders_come_again(ada: Person, bob: Person) -> None:
    """What was on the board is, and what is placed now comes as well."""
    bob.place("Pot of tea")
    for person in (ada, bob):
        person.reads("#state", "live")
        person.reads(".placed .item", "<b>Two</b> croissants", "Pot of tea")
        person.reads(".ready .item", "Flat white")


def test_flask(tmp_path: Path) -> None:
    """Two browsers, a worker that is replaced, and a browser that is killed."""
    for needed in ("jwt", "flask_socketio", "simple_websocket"):
        pytest.importorskip(needed)
    require_node()
    directory = tmp_path / "board"
    directory.mkdir()
    (directory / "node_modules").symlink_to(JS / "node_modules")
    with start("flask_order_board", directory) as server:
        assert server.wait_until(lambda: server.port, 20), server.log
        strangers_are_refused(server)
        with two_people(tmp_path, server) as (_, ada, bobs_browser, bob):
            orders_come_and_go(ada, bob, tmp_path)
            before = facts(server)["pid"]
            server.process.send_signal(signal.SIGHUP)
            assert wait_until(lambda: they_are_back(server, before), 20), server.log
            orders_come_again(ada, bob)
            assert bobs_browser("complaints") == []
            bobs_browser.kill()
            assert wait_until(lambda: (facts(server)["here"], facts(server)["members"]) == (["Ada"], 1), 5)
            ada.reads("#here li", "A\nAda (you)")
        assert wait_until(lambda: facts(server)["members"] == 0, 5)
        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    "command", [UVICORN, pytest.param(DAPHNE_FD, marks=pytest.mark.slow)], ids=["uvicorn", "daphne"]
)
def test_django(tmp_path: Path, command: list[str]) -> None:
    """The same, with a server that is replaced; and a browser that is silent is gone, and comes back."""
    for needed in ("jwt", "django", "channels", "uvicorn"):
        pytest.importorskip(needed)
    if command is DAPHNE_FD and not DAPHNE.is_dir():
        pytest.skip("daphne is not installed (make setup)")
    directory = migrated_board(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as servers:
        server = servers.enter_context(django_server(directory, command, listener))
        with two_people(tmp_path, server) as (_, ada, bobs_browser, bob):
            strangers_are_refused(server, "/ticket")
            tokens_are_for_one_purpose(server)
            orders_come_and_go(ada, bob, tmp_path)
            before = facts(server)["pid"]
            server.end()
            server = servers.enter_context(django_server(directory, command, listener))
            assert wait_until(lambda: they_are_back(server, before), 20), server.log
            orders_come_again(ada, bob)
            assert bobs_browser("complaints") == []
            with bobs_browser.frozen():
                assert wait_until(lambda: facts(server)["here"] == ["Ada"], 15)
                ada.reads("#here li", "A\nAda (you)")
            bob.reads("#here li", "A\nAda", "B\nBob (you)")
            bobs_browser.kill()
            assert wait_until(lambda: facts(server)["here"] == ["Ada"], 5)
            ada.reads("#here li", "A\nAda (you)")
        assert wait_until(lambda: facts(server)["here"] == [], 5)
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_one_board_of_two_processes(tmp_path: Path) -> None:
    """Django's, with Redis between them: Ada at one, Bob at the other."""
    for needed in ("jwt", "django", "channels_redis", "uvicorn"):
        pytest.importorskip(needed)
    directory = migrated_board(tmp_path)
    with contextlib.ExitStack() as kept:
        redis = Redis(tmp_path)
        kept.callback(redis.kill)
        servers = []
        for _ in range(2):
            listener = kept.enter_context(socket.create_server(("127.0.0.1", 0)))
            servers.append(
                kept.enter_context(django_server(directory, UVICORN, listener, REDIS_URL=redis.url))
            )
        browsers = [kept.enter_context(chromium(tmp_path, name)) for name in ("ada", "bob")]
        ada, bob = (
            Person(browser, name, f"http://127.0.0.1:{server.port}/")
            for browser, name, server in zip(browsers, ("Ada", "Bob"), servers)
        )
        orders_come_and_go(ada, bob, tmp_path)
        assert [browser("complaints") for browser in browsers] == [[], []]
        assert "Traceback" not in servers[0].log
