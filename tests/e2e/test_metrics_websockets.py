"""What is counted of WebSockets: how they end, and every byte, frame and message, as their clients have them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup import metrics
from hangup._demo.server import wait_until
from hangup.testing import connect, reset
from raw_websocket import REQUEST, frame, until
from test_metrics_gunicorn import started

APP = """
import hangup
def app(environ, start_response):
    if environ.get("HTTP_UPGRADE") == "websocket":
        ws = hangup.WebSocket(environ)
        try:
            while True:
                message = ws.receive()
                if message == "close":
                    ws.close(4001)
                ws.send(message)
        except hangup.HangupError:
            return []
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gunicorn]:
    args = ("-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "8")
    with gunicorn(tmp_path, *args, app=APP) as running:
        started(running, 1)
        yield running


def opened(server: Gunicorn) -> socket:
    """A WebSocket, with nothing received behind the handshake."""
    client = connect(("127.0.0.1", server.port), timeout=20)
    client.sendall(REQUEST)
    assert until(client, b"\r\n\r\n").endswith(b"\r\n\r\n")
    return client


def received(client: socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = client.recv(count - len(data))
        assert more
        data += more
    return bytes(data)


def close(code: int) -> bytes:
    return frame(struct.pack("!H", code), 8)


def totals(server: Gunicorn) -> dict[str, int]:
    return {name: value for name, value in metrics.read(server.process.pid).total.items() if value}


def ends(server: Gunicorn) -> dict[str, int]:
    """By cause and code."""
    return {
        name.partition('="')[2].rstrip('"}'): value
        for name, value in totals(server).items()
        if name.startswith(("websockets_closed{", "websocket_close_codes{"))
    }


def test_bytes_frames_and_messages_are_those_of_the_client(server: Gunicorn) -> None:
    """To the unit; the time to the kernel is measured for each answer, the queue for none: nobody had to wait."""
    with opened(server) as client:
        sent = answered = 0
        for size in (0, 1, 125, 126, 65_535, 65_536, 200_000):
            text = b"x" * size
            client.sendall(frame(text))
            sent += len(frame(text))
            answer = len(frame(text)) - 4  # without a mask
            assert received(client, answer).endswith(text)
            answered += answer
        client.sendall(close(1000))
        assert received(client, 4)[2:] == struct.pack("!H", 1000)
        sent, answered = sent + len(close(1000)), answered + 4
    assert wait_until(lambda: totals(server).get("websockets_closed") == 1, 10)
    total = totals(server)
    assert total["websockets"] == total["messages_received"] - 6 == 1
    assert total["frames_sent"] == 8
    assert (total["websocket_bytes_received"], total["websocket_bytes_sent"]) == (sent, answered)
    histograms = metrics.read(server.process.pid).histograms
    writes = histograms["websocket_write_duration_seconds"]
    assert 1 <= writes.number <= 8
    assert 0 < writes.sum < 20
    assert histograms["websocket_queue_depth_bytes"].number == 0


def test_how_each_of_them_ended(server: Gunicorn) -> None:
    """By whom, and with which code."""
    with opened(server) as client:
        client.sendall(close(1000))
        received(client, 4)
    with opened(server) as client:
        client.sendall(close(1001))
        received(client, 4)
    with opened(server) as client:
        client.sendall(frame(b"close"))
        assert received(client, 4)[2:] == struct.pack("!H", 4001)
        client.sendall(close(4001))
    with opened(server) as client:
        client.sendall(b"\x81\x01x")  # not masked: RFC 6455 section 5.1
        assert received(client, 4)[2:] == struct.pack("!H", 1002)
    reset(opened(server))
    with opened(server):
        pass  # the end of the stream, without a close frame
    assert wait_until(lambda: totals(server).get("websockets_closed") == 6, 10), ends(server)
    assert ends(server) == {
        "peer": 2, "here": 1, "violation": 1, "transport": 2,
        "normal": 1, "going_away": 1, "application": 1, "protocol": 1, "abnormal": 2,
    }  # fmt: skip
    assert metrics.read(server.process.pid).total["websockets_open"] == 0
    name = 'connection_duration_seconds{stack="websocket"}'
    assert wait_until(lambda: metrics.read(server.process.pid).histograms[name].number == 6, 10)


def test_a_queue_is_measured_when_there_is_one(server: Gunicorn) -> None:
    """A client that does not read: what its answers find before them, and how long they waited."""
    with connect(("127.0.0.1", server.port), rcvbuf=4096, timeout=20) as client:
        client.sendall(REQUEST)
        until(client, b"\r\n\r\n")
        text = b"x" * 100_000
        answer = len(frame(text)) - 4

        def queued() -> bool:
            client.sendall(frame(text))
            return metrics.read(server.process.pid).histograms["websocket_queue_depth_bytes"].number > 0

        number = 0
        while not queued():
            number += 1
            assert number < 200
        assert metrics.read(server.process.pid).histograms["websocket_queue_depth_bytes"].sum > 0
        received(client, (number + 1) * answer)
        client.sendall(close(1000))
        received(client, 4)
    assert wait_until(lambda: totals(server).get("websockets_closed") == 1, 10)
