"""The connection limit of a real service: who is refused, who is not, and what it costs to be refused."""

from __future__ import annotations

import signal
import socket
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from e2e_uvicorn import APP as ASGI_APP
from e2e_uvicorn import NATIVE, uvicorn
from hangup import metrics
from hangup._watch.probes import ENGINE_IO, Where, websocket
from ops_client import connects
from raw_websocket import REQUEST, until
from test_flask_sock import APP as FLASK_SOCK_APP
from test_upgrade import polling_session, upgrading
from test_websocket import IDS, STACKS, serve

#: Nothing comes back while a test runs.
LIMIT = "1/h,burst=5"
POLL = b"GET /socket.io/?EIO=4&transport=polling&x%ssid=1 HTTP/1.1\r\nHost: x\r\n\r\n"


def begin(
    port: int, request: bytes = REQUEST, source: str = "127.0.0.1", forwarded: str = ""
) -> tuple[int, HTTPMessage]:
    """The status and headers of the answer."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    with client:
        fields = f"X-Forwarded-For: {forwarded}\r\n\r\n".encode() if forwarded else b"\r\n"
        client.sendall(request[:-2] + fields)
        response = HTTPResponse(client)
        response.begin()
        return response.status, response.headers


def statuses(port: int, number: int, **options: str) -> list[int]:
    return [begin(port, **options)[0] for _ in range(number)]  # type: ignore[arg-type]


@pytest.mark.parametrize("stack", [STACKS[2], STACKS[3], STACKS[4]], ids=[IDS[2], IDS[3], IDS[4]])
def test_a_client_beyond_its_rate_is_told_when_to_come_back(
    tmp_path: Path, stack: tuple[str, str, str, str, bool]
) -> None:
    """And the others are served, as is the same client's HTTP and what it has begun."""
    with serve(tmp_path, stack, HANGUP_CONNECTION_LIMIT=LIMIT) as server:
        sid = polling_session(server)
        assert statuses(server.port, 4) == [101] * 4
        status, headers = begin(server.port)
        assert status == 429
        assert 3500 < int(headers["Retry-After"]) <= 3600
        assert begin(server.port, POLL % b"")[0] == 429, "a parameter that only ends like a session's"
        assert begin(server.port, source="127.0.0.2")[0] == 101
        first = upgrading(server, sid)  # of the session that it has
        first.send("2probe")
        assert first.recv() == "3probe"
        facts = server.ask()
        assert metrics.read(server.process.pid).total["rejected_connections"] == 2
        assert facts["sessions"] <= 6
        assert server.log.count("is refused with 429") == 1
        assert "127.0.0.1 is refused with 429: it begins more connections than 1/h,burst=5" in server.log
        assert "Traceback" not in server.log


def test_the_workers_of_a_master_share_the_buckets(tmp_path: Path) -> None:
    """Of 30 connections to three workers 5 are admitted; a reload and a killed worker forget nothing."""
    with serve(tmp_path, STACKS[0], "--workers", "3", HANGUP_CONNECTION_LIMIT=LIMIT) as server:
        assert statuses(server.port, 30).count(101) == 5
        before = server.ask()["pid"]
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_until(lambda: before not in metrics.read(server.process.pid).serving, 20)
        server.ask(str(before))
        assert statuses(server.port, 5) == [429] * 5
        assert metrics.read(server.process.pid).total["rejected_connections"] == 30


def test_the_client_behind_a_trusted_proxy_is_limited_and_not_the_proxy(tmp_path: Path) -> None:
    """What others write in the header is theirs."""
    with serve(
        tmp_path, STACKS[0], HANGUP_CONNECTION_LIMIT=LIMIT, HANGUP_TRUSTED_PROXIES="127.0.0.1/32,unix"
    ) as server:
        for client in ("198.51.100.1", "6.6.6.6, 198.51.100.2", "2001:db8::1"):
            assert statuses(server.port, 6, forwarded=client) == [101] * 5 + [429]
        assert begin(server.port, forwarded="2001:db8::2")[0] == 429, "the same network"
        assert begin(server.port, forwarded="7.7.7.7, 198.51.100.2")[0] == 429
        told = [
            begin(server.port, source="127.0.0.2", forwarded=f"198.51.100.{number}")[0] for number in range(9)
        ]
        assert told == [101] * 5 + [429] * 4, "who is no proxy spoofs in vain"


def test_a_proxy_that_is_not_trusted_is_named_in_the_log(tmp_path: Path) -> None:
    """All of its clients share a bucket, which nobody wants."""
    limits = {"HANGUP_CONNECTION_LIMIT": LIMIT, "HANGUP_TRUSTED_PROXIES": ""}
    with serve(tmp_path, STACKS[0], **limits) as server:
        assert statuses(server.port, 6, forwarded="198.51.100.1")[-1] == 429
        assert "is it a proxy, HANGUP_TRUSTED_PROXIES should have it" in server.log


def test_it_is_configured_in_one_line(tmp_path: Path) -> None:
    """Of gunicorn.conf.py; and a reload with a wrong one leaves the one there was."""
    configuration = tmp_path / "gunicorn.conf.py"
    line = "import hangup.gunicorn; hangup.gunicorn.install(globals(), connection_limit={!r}, trusted_proxies='unix')"
    configuration.write_text(line.format(LIMIT))
    with gunicorn(tmp_path, "-k", "gthread", app=_app(), MODE="threading") as server:
        server.ask()
        assert statuses(server.port, 6) == [101] * 5 + [429]
        configuration.write_text(line.format("ten a second"))
        before = server.ask()["pid"]
        server.process.send_signal(signal.SIGHUP)
        server.ask(str(before))
        assert "HANGUP_CONNECTION_LIMIT='ten a second': is not like 10/s" in server.log
        assert begin(server.port)[0] == 429
        configuration.write_text(line.format("1/h,burst=2"))
        before = server.ask()["pid"]
        server.process.send_signal(signal.SIGHUP)
        server.ask(str(before))
        assert server.wait_until(lambda: metrics.read(server.process.pid).serving != {before}, 20)
        assert server.wait_until(lambda: before not in metrics.read(server.process.pid).workers, 20)
        assert statuses(server.port, 3) == [101] * 2 + [429]


def _app() -> str:
    from socketio_app import APP

    return APP


@pytest.mark.parametrize(
    ("variable", "text"), [("HANGUP_CONNECTION_LIMIT", "many"), ("HANGUP_TRUSTED_PROXIES", "localhost")]
)
def test_a_wrong_configuration_ends_gunicorn_with_a_sentence(
    tmp_path: Path, variable: str, text: str
) -> None:
    """Before it listens."""
    limits = {"HANGUP_CONNECTION_LIMIT": LIMIT, variable: text}
    server = Gunicorn(tmp_path, "-c", "python:hangup.gunicorn", **limits)
    assert server.process.wait(20) != 0
    assert f"hangup: {variable}='{text}': " in server.log
    assert "Traceback" not in server.log


def test_without_a_limit_nobody_is_refused(tmp_path: Path) -> None:
    """It is off by default, and with HANGUP=off."""
    with serve(tmp_path, STACKS[0]) as server:
        assert statuses(server.port, 30) == [101] * 30
        assert "connection_limit" not in server.ask()["status"]


def test_flask_sock_is_limited(tmp_path: Path) -> None:
    """Behind a Unix socket, where nginx is."""
    path = tmp_path / "s"
    request = REQUEST.replace(b"/socket.io/?EIO=4&transport=websocket", b"/echo")
    options = ["-c", "python:hangup.gunicorn", "-k", "gthread", "-b", f"unix:{path}"]
    with gunicorn(tmp_path, *options, app=FLASK_SOCK_APP, HANGUP_CONNECTION_LIMIT=LIMIT) as server:
        assert server.wait_until(lambda: connects(str(path)), 20), server.log
        told = []
        for number in range(12):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(path))
                field = b"X-Forwarded-For: 198.51.100.%d\r\n\r\n" % (number % 2)
                client.sendall(request[:-2] + field)
                told.append(until(client, b"\r\n\r\n").split()[1])
        assert told == [b"101"] * 10 + [b"429"] * 2
        assert "Traceback" not in server.log


def test_uvicorn_s_websockets_are_limited(tmp_path: Path) -> None:
    """Under hangup's protocol."""
    request = REQUEST.replace(b"/socket.io/?EIO=4&transport=websocket", b"/echo")
    with uvicorn(tmp_path, "--ws", NATIVE, app=ASGI_APP, HANGUP_CONNECTION_LIMIT=LIMIT) as server:
        server.ask()
        answers = [begin(server.port, request, forwarded="6.6.6.6, 198.51.100.1") for _ in range(7)]
        assert [status for status, _ in answers] == [101] * 5 + [429] * 2
        assert int(answers[-1][1]["Retry-After"]) > 3000
        assert begin(server.port, request, forwarded="198.51.100.2")[0] == 101


def test_a_watch_that_is_refused_takes_nobody_for_ill(tmp_path: Path) -> None:
    """A service that answers 429 answers; the watch's own WebSockets count like anybody's."""
    with serve(tmp_path, STACKS[0], HANGUP_CONNECTION_LIMIT="1/h,burst=1") as server:
        place = Where(("127.0.0.1", server.port), ENGINE_IO)
        assert [websocket(place, 10.0)[1:3] for _ in range(2)] == [
            ("ok", "pong"),
            ("ok", "429: a limit of the service answers"),
        ]
