"""What clients may send although few do: it is handled as stock handles it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn
from raw_websocket import begin_session, close_code, frame, until
from test_websocket import IDS, STACKS, serve

APP = """
import os, socketio
server = socketio.Server(async_mode=os.environ["MODE"], engineio_logger=os.environ.get("LOGS") == "on")

@server.on("*")
def heard(event, sid, *data):
    server.emit("heard", [str(event), repr(data)], to=sid)

def facts(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return [b'{"pid": 0}']

app = socketio.WSGIApp(server, facts)
"""
PLACE = b'{"_placeholder":true,"num":0}'
INPUT = {
    "empty bytes": ([frame(b'451-["up",' + PLACE + b"]"), frame(b"", 2)], b"""["up","(b'',)"]"""),
    "bytes in base64": ([frame(b'451-["up",' + PLACE + b"]"), frame(b"beHk=")], b"""["up","(b'xy',)"]"""),
    "no bytes in base64": ([frame(b'451-["up",' + PLACE + b"]"), frame(b"b")], b"""["up","(b'',)"]"""),
    "number for a name": ([frame(b'42[7,"x"]')], b"""["7","('x',)"]"""),
}


@pytest.mark.parametrize(
    ("stack", "logs", "hangup"),
    [
        pytest.param(STACKS[0], "off", "off", id="stock"),
        pytest.param(STACKS[0], "off", "on", id=IDS[0]),
        pytest.param(STACKS[0], "on", "on", id=f"{IDS[0]}-logging"),
        pytest.param(STACKS[1], "off", "on", id=IDS[1]),
        pytest.param(STACKS[4], "off", "on", id=IDS[4]),
    ],
)
def test_every_packet_of_a_proper_client_is_handled(
    tmp_path: Path, stack: tuple[str, str, str, str, bool], logs: str, hangup: str
) -> None:
    """Empty bytes, bytes of clients with ``forceBase64``, and events with numbers for names."""
    with serve(tmp_path, stack, app=APP, HANGUP=hangup, LOGS=logs) as server:
        for sent, heard in INPUT.values():
            with contextlib.closing(begin_session(server.port)) as client:
                client.sendall(b"".join(sent))
                until(client, heard)


def bad(server: Gunicorn, sent: bytes) -> int:
    with contextlib.closing(begin_session(server.port)) as client:
        client.sendall(sent)
        return close_code(client)


def test_what_looks_like_it_is_refused(tmp_path: Path) -> None:
    """Empty bytes that nobody announced, what is not base64, and names that are neither text nor numbers."""
    with serve(tmp_path, STACKS[0], app=APP) as server:
        for sent in (frame(b"", 2), frame(b"bA"), frame(b"42[true]"), frame(b"42[null]"), frame(b"42[[]]")):
            assert bad(server, sent) == 1002, sent
        assert "Traceback" not in server.log
