"""flask-sock under a guarded gunicorn: its handlers are unchanged, and their frames whole."""

from __future__ import annotations

import collections
import json
from http.client import HTTPConnection
from pathlib import Path

import pytest
from e2e_gunicorn import gunicorn

websocket = pytest.importorskip("websocket")
pytest.importorskip("flask_sock")

APP = """
import os, threading, time
from flask import Flask
from flask_sock import Sock
app = Flask(__name__)
sock = Sock(app)
left = threading.Event()

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

@sock.route("/threads")
def threads(ws):
    def send(letter):
        for _ in range(20):
            ws.send(letter * 150_000)
    senders = [threading_.start() or threading_ for threading_ in
               [threading.Thread(target=send, args=(letter,)) for letter in "abcdefgh"]]
    for sender in senders:
        sender.join()

@sock.route("/watch")
def watch(ws):
    while ws.connected:
        time.sleep(0.01)
    left.set()

@sock.route("/deaf")
def deaf(ws):
    left.wait()

@app.get("/release")
def release():
    left.set()
    return {}

@app.get("/left")
def has_left():
    return {"left": left.wait(10)}

@app.get("/")
def facts():
    import hangup
    return {"pid": os.getpid(), **hangup.stats()}
"""

STACKS = [("27.0.1", "gthread", ""), ("21.2.0", "gthread", ""), ("27.0.1", "gevent", "gevent")]
EVERY_STACK = pytest.mark.parametrize(("version", "worker", "needs"), STACKS)


def args(worker: str, needs: str) -> list[str]:
    """gunicorn's."""
    if needs:
        pytest.importorskip(needs)
    return [
        "-c",
        "python:hangup.gunicorn",
        "-k",
        worker,
        *(["--threads", "4"] if worker == "gthread" else []),
    ]


@EVERY_STACK
def test_messages_come_back(tmp_path: Path, version: str, worker: str, needs: str) -> None:
    """Text and binary of every length encoding, and the descriptors after it."""
    with gunicorn(tmp_path, *args(worker, needs), app=APP, version=version) as server:
        before = server.ask()
        client = websocket.create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=20)
        for message in ("", "x", "é" * 1000, "y" * 70_000, b"\x00\xff" * 100_000):
            (client.send_binary if isinstance(message, bytes) else client.send)(message)
            assert client.recv() == message
        client.close()
        assert server.wait_until(lambda: server.ask()["open"] <= before["open"], 10)
        assert server.ask()["websockets"] == 1
        assert "Traceback" not in server.log


@EVERY_STACK
def test_frames_of_many_threads_are_whole(tmp_path: Path, version: str, worker: str, needs: str) -> None:
    """Eight senders of 150 KB; simple-websocket tears them."""
    with gunicorn(tmp_path, *args(worker, needs), app=APP, version=version) as server:
        server.ask()
        client = websocket.create_connection(f"ws://127.0.0.1:{server.port}/threads", timeout=20)
        received: collections.Counter[str] = collections.Counter()
        while True:
            opcode, data = client.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            assert data == data[:1] * 150_000
            received[data[:1].decode()] += 1
        client.shutdown()
        assert received == dict.fromkeys("abcdefgh", 20)
        assert "Traceback" not in server.log


@EVERY_STACK
def test_handlers_that_wait_end_with_their_worker(
    tmp_path: Path, version: str, worker: str, needs: str
) -> None:
    """TERM: each client is told, each handler returns, and the worker ends in time."""
    with gunicorn(tmp_path, *args(worker, needs), app=APP, version=version) as server:
        server.ask()
        clients = [
            websocket.create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=20) for _ in range(3)
        ]
        server.process.terminate()
        for client in clients:
            opcode, payload = client.recv_data()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1001)
            client.shutdown()
        assert server.process.wait(8) == 0
        assert "Traceback" not in server.log


@EVERY_STACK
def test_what_a_handler_does_not_receive_stays_with_the_client(
    tmp_path: Path, version: str, worker: str, needs: str
) -> None:
    """A client that goes on sending is held up; its messages do not pile up here."""
    with gunicorn(tmp_path, *args(worker, needs), app=APP, version=version) as server:
        server.ask()
        client = websocket.create_connection(f"ws://127.0.0.1:{server.port}/deaf", timeout=2)
        with pytest.raises(websocket.WebSocketTimeoutException):
            collections.deque(client.send_binary(bytes(1 << 20)) for _ in range(64))
        client.shutdown()
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/release")
        connection.getresponse().read()
        connection.close()


def test_a_handler_that_only_looks_sees_that_its_client_left(tmp_path: Path) -> None:
    """Without receiving or sending."""
    with gunicorn(tmp_path, *args("gthread", ""), app=APP) as server:
        server.ask()
        client = websocket.create_connection(f"ws://127.0.0.1:{server.port}/watch", timeout=20)
        client.sock.close()
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/left")
        assert json.loads(connection.getresponse().read()) == {"left": True}
        connection.close()


def test_what_is_no_handshake_gets_an_http_response(tmp_path: Path) -> None:
    """A WebSocket route asked for by a client of an older version."""
    with gunicorn(tmp_path, *args("gthread", ""), app=APP) as server:
        server.ask()
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(
                f"ws://127.0.0.1:{server.port}/echo", header={"Sec-WebSocket-Version": "8"}, timeout=20
            )
        assert refused.value.status_code in (400, 426)
        assert "Traceback" not in server.log


@EVERY_STACK
def test_a_client_that_does_not_answer_pings_is_left(
    tmp_path: Path, version: str, worker: str, needs: str
) -> None:
    """flask-sock's own option, served natively: who answers stays, who does not is told 1011."""
    app = APP.replace(
        "sock = Sock(app)", 'app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 0.5}\nsock = Sock(app)'
    )
    with gunicorn(tmp_path, *args(worker, needs), app=app, version=version) as server:
        server.ask()
        url = f"ws://127.0.0.1:{server.port}/echo"
        answers = websocket.create_connection(url, timeout=20)
        for _ in range(4):
            assert (
                answers.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PING
            )  # and it is answered
        answers.send("still here")
        assert answers.recv() == "still here"
        answers.close()
        silent = websocket.create_connection(url, timeout=20)
        silent.pong = lambda _payload: None
        opcode, payload = silent.recv_data()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1011)
        silent.shutdown()
        assert "Traceback" not in server.log
