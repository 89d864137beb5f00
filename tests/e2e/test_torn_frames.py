"""No byte is missing and none is between others: to a reader that stalls, and from eight senders at once.

For each way to send: an emit of python-socketio, ``hangup.WebSocket.send``, and flask-sock's.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup.testing import StalledReader

websocket = pytest.importorskip("websocket")
pytest.importorskip("socketio")
pytest.importorskip("flask_sock")

APP = """
import json, os, threading
import hangup, socketio
from flask import Flask
from flask_sock import Sock
flask = Flask(__name__)
server = socketio.Server(async_mode=os.environ["MODE"], cors_allowed_origins="*")
sent = [0]

def send_all(send, senders, each):
    def send_some(sender):
        for number in range(each):
            send(f"{sender} {number} ".ljust(1000 + number % 7, "abcdefgh"[sender]))
            sent[0] += senders == 1
    threads = [threading.Thread(target=send_some, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

@server.event
def begin(sid, senders, each):
    send_all(lambda text: server.emit("words", text, to=sid), senders, each)

@Sock(flask).route("/flask_sock")
def flask_sock(ws):
    send_all(ws.send, *json.loads(ws.receive()))
    ws.receive()

def plain(environ, start_response):
    ws = hangup.WebSocket(environ)
    send_all(ws.send, *json.loads(ws.receive()))
    try:
        ws.receive()
    except hangup.HangupError:
        return ()

@flask.get("/")
def facts():
    return {"pid": os.getpid(), "sent": sent[0]}

def others(environ, start_response):
    return (plain if environ["PATH_INFO"] == "/plain" else flask)(environ, start_response)

app = socketio.WSGIApp(server, others)
"""

WAYS = ("socketio", "plain", "flask_sock")
STACKS = [
    pytest.param("27.0.1", "gthread", "threading", id="gthread-27.0.1"),
    pytest.param("27.0.1", "gevent", "gevent", id="gevent-27.0.1"),
    pytest.param("21.2.0", "eventlet", "eventlet", id="eventlet-21.2.0", marks=pytest.mark.slow),
]
EVERY_STACK = pytest.mark.parametrize(("version", "worker", "mode"), STACKS)


def serve(directory: Path, version: str, worker: str, mode: str) -> Any:
    """A guarded gunicorn."""
    if mode != "threading":
        pytest.importorskip(mode)
    threads = ["--threads", "4"] if worker == "gthread" else []
    args = ["-c", "python:hangup.gunicorn", "-k", worker, *threads]
    return gunicorn(directory, *args, app=APP, version=version, MODE=mode)


def begin(server: Gunicorn, reader: StalledReader, way: str, senders: int, each: int) -> Any:
    """A client to which each sender sends that many messages."""
    path = "socket.io/?EIO=4&transport=websocket" if way == "socketio" else way
    client = websocket.create_connection(f"ws://127.0.0.1:{server.port}/{path}", socket=reader.sock)
    if way == "socketio":
        client.recv()
        client.send("40")
        client.recv()
        client.send(f'42["begin",{senders},{each}]')
    else:
        client.send(json.dumps([senders, each]))
    return client


def check(client: Any, senders: int, each: int) -> None:
    """Reads everything: each message is whole, and those of a sender are in order."""
    seen: Counter[str] = Counter()
    for _ in range(senders * each):
        received = client.recv()
        text = json.loads(received[2:])[1] if received.startswith("42[") else received
        sender, number, padding = text.split(" ")
        assert int(number) == seen[sender]
        assert len(text) == 1000 + int(number) % 7
        assert padding == "abcdefgh"[int(sender)] * len(padding)
        seen[sender] += 1
    assert seen == {str(sender): each for sender in range(senders)}


@EVERY_STACK
@pytest.mark.parametrize("count", [8_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_reader_that_stalls_misses_nothing(
    tmp_path: Path, version: str, worker: str, mode: str, count: int
) -> None:
    """Messages of 1 KB. A ``send`` that may wait for room waits, and holds up nobody."""
    with serve(tmp_path, version, worker, mode) as server:
        server.ask()
        for way in WAYS:
            before = server.ask()["sent"]
            with StalledReader(("127.0.0.1", server.port), rcvbuf=1 << 16) as reader:
                client = begin(server, reader, way, 1, count)
                assert reader.wait_stalled(deadline=10)
                if way != "socketio":
                    sent = server.ask()["sent"] - before
                    assert 0 < sent < count, "it did not wait"
                check(client, 1, count)
                client.close()
        assert "Traceback" not in server.log


@EVERY_STACK
def test_frames_of_eight_senders_are_whole(tmp_path: Path, version: str, worker: str, mode: str) -> None:
    """More than the kernel takes at once, to a client that begins to read when it does not."""
    with serve(tmp_path, version, worker, mode) as server:
        server.ask()
        for way in WAYS:
            with StalledReader(("127.0.0.1", server.port), rcvbuf=1 << 16) as reader:
                client = begin(server, reader, way, 8, 500)
                assert reader.wait_stalled(deadline=10)
                check(client, 8, 500)
                client.close()
        assert "Traceback" not in server.log
