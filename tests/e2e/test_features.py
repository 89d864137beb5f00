"""What Flask-SocketIO and python-socketio offer besides events: the same on native WebSockets as on stock ones."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from features_app import APP
from hangup._demo.server import wait_until

socketio = pytest.importorskip("socketio")
pytest.importorskip("flask_socketio")
pytest.importorskip("websocket")

#: The worker and its model, and whether hangup is on: what is asserted is asserted of the stock transport, too.
EVERY_STACK = pytest.mark.parametrize(
    "stack",
    [
        pytest.param(("gthread", "threading", "off"), id="stock", marks=pytest.mark.slow),
        pytest.param(("gthread", "threading", "on"), id="gthread"),
        pytest.param(("gevent", "gevent", "on"), id="gevent", marks=pytest.mark.slow),
    ],
)
CLIENTS: list[Client] = []  # of the test that runs


class Client:
    """A client, and what it heard."""

    def __init__(self, server: Gunicorn, namespaces: list[str], **options: Any) -> None:
        self.heard: list[list[Any]] = []
        self.socket = socketio.Client(reconnection=False)
        for namespace in namespaces:
            self.socket.on("*", lambda event, *data: self.heard.append([event, *data]), namespace=namespace)
        self.socket.on("question", lambda question: f"{question}?")
        self.socket.on("disconnect", lambda reason: self.heard.append(["disconnect", reason]))
        CLIENTS.append(self)
        options = {"transports": ["websocket"], "wait_timeout": 10, **options}
        self.socket.connect(f"http://127.0.0.1:{server.port}", namespaces=namespaces, **options)

    def call(self, event: str, *data: Any, namespace: str = "/") -> Any:
        return self.socket.call(event, data, namespace=namespace, timeout=10)

    def values(self, event: str) -> list[Any]:
        """What came with each ``event``."""
        return [heard[1] if len(heard) == 2 else heard[1:] for heard in list(self.heard) if heard[0] == event]

    def hears(self, event: str, value: Any) -> bool:
        """Whether it comes in time."""
        return wait_until(lambda: value in self.values(event), 10)


@contextlib.contextmanager
def serve(directory: Path, stack: tuple[str, str, str], **env: str) -> Iterator[Gunicorn]:
    worker, mode, hangup = stack
    pytest.importorskip("gevent" if worker == "gevent" else "hangup")
    threads = ["--threads", "20"] if worker == "gthread" else []  # a stock client takes one
    args = ["-c", "python:hangup.gunicorn", "-k", worker, *threads, "--graceful-timeout", "3"]
    with gunicorn(directory, *args, app=APP, MODE=mode, HANGUP=hangup, **env) as server:
        status = server.ask()["status"]
        assert (status["state"] if status else "off") == hangup
        try:
            yield server
        finally:
            while CLIENTS:
                CLIENTS.pop().socket.disconnect()


def get(server: Gunicorn, path: str) -> tuple[str, str]:
    """The body and the cookie of a response."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as response:
        return response.read().decode(), (response.headers["Set-Cookie"] or "").partition(";")[0]


def journal(server: Gunicorn) -> list[Any]:
    entries: list[Any] = json.loads(get(server, "/journal")[0])["journal"]
    return entries


@EVERY_STACK
def test_what_an_application_may_use(tmp_path: Path, stack: tuple[str, str, str]) -> None:
    """Refusals, calls and emits from handlers and requests, rooms, messages, error handlers, namespaces, both ends."""
    with serve(tmp_path, stack) as server:
        for token in ("wrong", "silent"):
            with pytest.raises(socketio.exceptions.ConnectionError):
                Client(server, ["/"], auth={"token": token})
        with pytest.raises(socketio.exceptions.ConnectionError, match="/chat"):
            Client(server, ["/", "/chat"], auth="nobody")
        first, second = (Client(server, ["/", "/chat"]) for _ in range(2))
        assert wait_until(lambda: len(first.values("welcome")) == 1, 10)
        sid = first.values("welcome")[0]

        assert first.call("ask", "where") == "where?"
        first.socket.emit("ask and go on", "when")
        assert wait_until(lambda: ["callback", "when?"] in journal(server), 10)
        assert json.loads(get(server, f"/call/{sid}")[0]) == {"answer": "from a request?"}
        get(server, f"/emit/{sid}")
        assert first.hears("news", "from a request")
        first.socket.send("a message")
        assert first.hears("message", "a message")
        first.socket.emit("json", {"a": "json"})
        assert first.hears("json", {"a": "json"})

        assert [first.call("enter", "room"), second.call("enter", "room")] == [2, 2]
        first.call("tell", "room", "to the second")
        assert second.hears("told", "to the second")
        assert second.call("leave", "room") == 1
        first.call("tell", "room", "to nobody")
        assert second.call("enter", "room") == 2
        first.call("close", "room")
        first.call("tell", "room", "to nobody")
        assert second.call("enter", "other room") == 2
        assert first.values("told") == []
        assert second.values("told") == ["to the second"]

        assert first.call("fail", "on purpose") == "sorry"
        assert first.call("fail", namespace="/chat") == "sorry, too"
        assert first.call("echo", b"\x00\xff", namespace="/chat") == {"echoed": b"\x00\xff"}
        assert first.hears("echo", b"\x00\xff")
        said = journal(server)
        assert ["on_error", "on purpose", "fail"] in said
        assert ["on_error_default", "'chat'"] in said

        second.socket.emit("dismiss")
        assert second.hears("disconnect", "server disconnect")
        assert second.call("echo", "still here", namespace="/chat") == {"echoed": "still here"}
        second.socket.disconnect()
        get(server, f"/disconnect/{sid}")
        assert first.hears("disconnect", "server disconnect")
        first.socket.disconnect()
        assert wait_until(lambda: not server.ask()["sessions"], 10)
        ended = [entry[:2] for entry in journal(server) if entry[0] in ("disconnect", "chat")]
        assert ended.count(["disconnect", "server disconnect"]) == 2
        assert [name for name, _ in ended].count("chat") == 2
        if stack[2] == "on":  # the stock transport writes to a socket that it has closed
            assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("managed", "counts"), [("yes", [[1, 1], [2, 2], [3, 3]]), ("no", [[1, 1], [1, 2], [1, 3]])]
)
@EVERY_STACK
def test_sessions(tmp_path: Path, stack: tuple[str, str, str], managed: str, counts: list[Any]) -> None:
    """Flask's, which a cookie keeps, as Flask-SocketIO manages it or not; and python-socketio's own."""
    with serve(tmp_path, stack, MANAGE_SESSION=managed) as server:
        _, cookie = get(server, "/login")
        client = Client(server, ["/"], headers={"Cookie": cookie})
        assert client.call("whoami") == "Ada"
        assert [list(client.call("count")) for _ in counts] == counts
        assert "Traceback" not in server.log


@EVERY_STACK
def test_the_admin_interface_in_development(tmp_path: Path, stack: tuple[str, str, str]) -> None:
    """It is told what clients do, and does what it is asked to; nobody is lost for its pings."""
    with serve(tmp_path, stack, ADMIN="development", INTERVAL="1", TIMEOUT="1") as server:
        admin = Client(server, ["/admin"])
        assert wait_until(lambda: bool(admin.values("config")), 10)
        assert "ALL_EVENTS" in admin.values("config")[0]["supportedFeatures"]
        client = Client(server, ["/"])
        assert wait_until(lambda: bool(client.values("welcome")), 10)
        (sid,) = client.values("welcome")
        assert wait_until(lambda: sid in [one[0]["id"] for one in admin.values("socket_connected")], 10)
        seen = next(one[0] for one in admin.values("socket_connected") if one[0]["id"] == sid)
        assert (seen["transport"], seen["nsp"], seen["rooms"]) == ("websocket", "/", [sid])

        client.socket.send("a message")
        client.call("enter", "room")
        client.call("leave", "room")

        def told(event: str) -> list[Any]:
            return [values[:-1] for values in admin.values(event)]  # the last is the time

        for event, values in [
            ("event_received", ["/", sid, ["message", "a message"]]),
            ("event_sent", ["/", sid, ["message", "a message"]]),
            ("room_joined", ["/", "room", sid]),
            ("room_left", ["/", "room", sid]),
        ]:
            assert wait_until(lambda event=event, values=values: values in told(event), 10), event

        admin.socket.emit("join", ("/", "its room", sid), namespace="/admin")
        admin.socket.emit("emit", ("/", "its room", "news", "from the admin"), namespace="/admin")
        assert client.hears("news", "from the admin")

        beats = len(admin.values("server_stats"))
        assert wait_until(
            lambda: len(admin.values("server_stats")) > beats + 4, 10
        )  # as many seconds: two pings
        last = admin.values("server_stats")[-1]
        assert (last["clientsCount"], last["pollingClientsCount"]) == (2, 0)
        assert {"name": "/", "socketsCount": 1} in last["namespaces"]
        assert client.call("enter", "still here") > 1

        admin.socket.emit("_disconnect", ("/", False, sid), namespace="/admin")
        assert client.hears("disconnect", "server disconnect")
        assert wait_until(lambda: ["/", sid, "server disconnect"] in told("socket_disconnected"), 10)
        if stack[2] == "on":
            assert "Traceback" not in server.log


@EVERY_STACK
def test_the_admin_interface_in_production(tmp_path: Path, stack: tuple[str, str, str]) -> None:
    """It is told how many clients there are, and what went in and out."""
    with serve(tmp_path, stack, ADMIN="production") as server:
        admin = Client(server, ["/admin"])
        client = Client(server, ["/"])
        counted: Counter[str] = Counter()

        def all_counted() -> bool:
            counted.clear()
            for stats in admin.values("server_stats"):
                for event in stats["aggregatedEvents"]:
                    counted[event["type"]] += event["count"]
            return bool(counted["packetsIn"] >= 20 and counted["rawConnection"] == 2)

        for number in range(20):
            assert client.call("enter", f"room {number}") == number + 2
        assert wait_until(all_counted, 10), counted
        assert counted["packetsOut"] >= 20
        assert counted["bytesIn"] >= 20 * len('421["enter","room 1"]')
        assert counted["bytesOut"] > 20 * len("431[2]")
        if stack[2] == "on":
            assert "Traceback" not in server.log


@pytest.mark.parametrize("given", ["", "client_manager=hangup.flask_socketio.Manager()"])
def test_flask_socketio_s_test_client(given: str) -> None:
    """It needs no transport, and hangup gives it none."""
    script = f"""
import flask_socketio, hangup, hangup.flask_socketio
from flask import Flask, session
hangup.install()
app = Flask(__name__)
app.config["SECRET_KEY"] = "a test's"
server = flask_socketio.SocketIO(app, async_mode="threading", {given})

@server.on("echo")
def echo(data):
    session["last"] = data
    flask_socketio.emit("echoed", data, broadcast=True)
    return session["last"]

@server.on("ask")
def ask():
    flask_socketio.join_room("room")
    flask_socketio.emit("asked", to="room")

one, other = (server.test_client(app) for _ in range(2))
assert one.is_connected()
assert one.emit("echo", "x", callback=True) == "x"
assert [packet["args"] for packet in other.get_received()] == [["x"]]
one.get_received()
one.emit("ask")
assert [packet["name"] for packet in one.get_received()] == ["asked"] and not other.get_received()
one.disconnect()
assert not one.is_connected() and other.is_connected()
print(hangup.status()["integrations"]["socketio"]["state"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("on\n", "")
