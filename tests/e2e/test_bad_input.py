"""What clients send that they should not: each kind has its answer, its close code, and its bound in memory.

The table of close codes is in docs/websocket.md.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup._demo.server import wait_until
from hangup.testing import reset
from raw_websocket import REQUEST, begin_session, close_code, frame, until
from test_websocket import IDS, STACKS, serve, settled

#: The newest and the oldest python-socketio, and a hub.
SERVED = [STACKS[0], STACKS[1], STACKS[4]]

EMPTY = b"\x80\x00\x00\x00\x00"  # the rest of an empty frame's header


@pytest.fixture(scope="module", params=SERVED, ids=[IDS[0], IDS[1], IDS[4]])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One for all tests here: what a bad client does must not matter to the next one."""
    directory = tmp_path_factory.mktemp("server")
    with serve(directory, request.param, ORIGINS="http://here.example") as running:
        begin_session(running.port).close()  # the first one starts the engine
        settled(running, {"fds": 10_000}, 10)
        yield running


@pytest.fixture(autouse=True)
def unharmed(server: Gunicorn) -> Iterator[dict[str, Any]]:
    """Afterwards: no traceback, as many disconnects as connects, no session, and no descriptor more than before."""
    before = server.ask()
    yield before
    last = settled(server, before, 10)
    assert (last["connected"], last["sessions"], last["twice"]) == (last["disconnected"], 0, 0), last
    assert last["fds"] <= before["fds"], last
    assert last["pid"] == before["pid"]
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"\xc1" + EMPTY, 1002, id="reserved bit"),
        pytest.param(b"\x83" + EMPTY, 1002, id="reserved opcode"),
        pytest.param(b"\x81\x01x", 1002, id="not masked"),
        pytest.param(b"\x09" + EMPTY, 1002, id="fragmented ping"),
        pytest.param(b"\x80" + EMPTY, 1002, id="nothing to continue"),
        pytest.param(b"\x01" + EMPTY + b"\x82" + EMPTY, 1002, id="message in a message"),
        pytest.param(frame(b"\x03\xed", 8), 1002, id="close code 1005"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002, id="HTTP after the upgrade"),
        pytest.param(frame(b"4\xff"), 1007, id="not UTF-8"),
        pytest.param(frame(b"\x03\xe8\xff", 8), 1007, id="close reason not UTF-8"),
        pytest.param(b"\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1\x00\x00\x00\x00", 1009, id="100,001 bytes announced"),
        pytest.param(b"\x82\xff" + b"\xff" * 8 + bytes(4), 1009, id="2^64 bytes announced"),
        pytest.param(b"\x02" + EMPTY + b"\x00\x82\0\0\0\0xx" * 50_001, 1009, id="tiny fragments"),
        pytest.param(b"\x01" + EMPTY + (b"\x00" + EMPTY) * 65_536, 1008, id="empty fragments"),
        pytest.param(frame(b"", 9) * 1_100, 1008, id="pings"),
        pytest.param(frame(b"", 10) * 1_100, 1008, id="pongs"),
        pytest.param(frame(b"2") * 1_100, 1008, id="pings of Engine.IO"),
        pytest.param(frame(b"3") * 1_100, 1008, id="pongs of Engine.IO"),
    ],
)  # fmt: skip
def test_a_broken_stream_gets_its_close_code(server: Gunicorn, sent: bytes, code: int) -> None:
    """And nothing else of ours that is no frame."""
    with begin_session(server.port) as client:
        with contextlib.suppress(ConnectionError):  # it need not read all of a flood
            client.sendall(sent)
        assert close_code(client) == code


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"7", b"0{}", b"b4", b"4", b"49", b"4abc", b"44", b"42", b"42{}", b"42[]", b"42[true]", b'42"x"',
        b'42["unclosed', b"42" + b"[" * 90_000, b"42" + b"9" * 200 + b'["echo",1]', b"40" + b'{"a":' * 10_000,
        b'42["connect"]', b'42["disconnect"]', b"43", b"43[1]", b"45", b'450-["x"]', b'451-["x"]',
        b'421-["x"]', b'451000000000-["x",{"_placeholder":true,"num":0}]',
    ],
    ids=lambda sent: f"{len(sent)}-{sent[:24].decode()}",
)  # fmt: skip
def test_what_is_no_packet_ends_its_client(server: Gunicorn, sent: bytes) -> None:
    """1002; python-socketio prints a traceback for each, and calls ``disconnect`` for an event of that name."""
    with begin_session(server.port) as client:
        client.sendall(frame(sent) + frame(b'42["echo","after"]'))
        assert close_code(client) == 1002


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"\x01\x02", 2),
        frame(b'451-["x",{"_placeholder":true,"num":7}]') + frame(b"\x01", 2),
        frame(b'451-["x",{"_placeholder":true,"num":"0"}]') + frame(b"\x01", 2),
        frame(b'451-["x",{"_placeholder":true,"num":0}]') + frame(b"4text"),
        frame(b'4520-["x",' + b",".join(b'{"_placeholder":true,"num":%d}' % n for n in range(20)) + b"]")
        + frame(bytes(99_000), 2) * 17,
    ],
    ids=["binary unasked", "no such place", "no number", "text instead", "1.7 MB of attachments"],
)
def test_attachments_that_do_not_fit_end_their_client(server: Gunicorn, sent: bytes) -> None:
    """1002 as well."""
    with begin_session(server.port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        assert close_code(client) == 1002


@pytest.mark.parametrize(
    "sent",
    [b"40/unknown,", b'42/unknown,["x"]', b"41/unknown,", b"431[1]", b"43999[1]", b'42["nobody listens"]', b"40"],
    ids=bytes.decode,
)  # fmt: skip
def test_what_concerns_nobody_is_harmless(server: Gunicorn, sent: bytes) -> None:
    """Namespaces, acknowledgements and events that nobody knows: the session goes on."""
    with begin_session(server.port) as client:
        client.sendall(frame(sent) + frame(b'42["echo","after"]'))
        until(client, b'42["echo","after"]')


KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("Version: 13", "Version: 12", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        (KEY + "\r\n", "", 400),
        (KEY, "Sec-WebSocket-Key: c2hvcnQ=", 400),
        (KEY, f"{KEY}\r\n{KEY}", 400),
        ("Connection: Upgrade", "Connection: close", 400),
        ("Host: x", "Host: x\r\nOrigin: http://elsewhere.example", 400),
        ("EIO=4", "EIO=3", 400),
        ("EIO=4", "EIO=4&sid=unknown", 400),
        ("GET", "POST", 400),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Host: x", "Host: x\r\n" + "\r\n".join(f"X-{number}: y" for number in range(200)), 431),
        ("Host: x", "Host: x\r\nCookie: " + "y" * 9_000, 431),
    ],
    ids=[
        "version", "no version", "no key", "short key", "two keys", "connection", "foreign origin", "Engine.IO 3",
        "unknown session", "POST", "HTTP/1.0", "200 headers", "a header of 9 KB",
    ],
)  # fmt: skip
def test_a_bad_handshake_gets_an_http_response(server: Gunicorn, old: str, new: str, status: int) -> None:
    """No 101 is sent, and no session is left."""
    before = server.ask()["websockets"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(REQUEST.decode().replace(old, new).encode())
        answer = client.makefile("rb").readline().split()[1]
    assert answer in ({b"431", b"400"} if status == 431 else {str(status).encode()})
    assert server.ask()["websockets"] == before


def poll(server: Gunicorn) -> bytes:
    """A new session of a client that polls."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(
            b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        sid = re.search(rb'"sid":"([^"]+)"', client.makefile("rb").read())
    assert sid is not None
    return sid[1]


@contextlib.contextmanager
def upgrade(server: Gunicorn, sid: bytes) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection that asks to upgrade the session, and the status line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(REQUEST.replace(b"EIO=4", b"EIO=4&sid=" + sid))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        yield client, head.split(b"\r\n")[0].split()[1]


def test_a_session_is_upgraded_once(server: Gunicorn) -> None:
    """While the first WebSocket probes, and after it: the second is closed, and the first goes on."""
    sid = poll(server)
    with upgrade(server, sid) as (first, status):
        assert status == b"101"
        with upgrade(server, sid) as (second, status):
            assert (status, close_code(second)) == (b"101", 1002)
        first.sendall(frame(b"2probe"))
        until(first, b"3probe")
        with upgrade(server, sid) as (second, status):
            assert (status, close_code(second)) == (b"101", 1002)
        first.sendall(frame(b"5") + frame(b"40"))
        until(first, b"40{")
        with upgrade(server, sid) as (second, status):
            assert (status, close_code(second)) == (b"101", 1002)
        first.sendall(frame(b'42["echo",1]'))
        until(first, b'42["echo",1]')


def test_an_upgrade_that_fails_can_be_tried_again(server: Gunicorn) -> None:
    """With anything but a probe; the session stays."""
    sid = poll(server)
    for bad in (frame(b"40"), frame(b"\x01", 2), frame(b"2prob")):
        with upgrade(server, sid) as (client, status):
            assert status == b"101"
            client.sendall(bad)
            assert close_code(client) == 1002

        def may_upgrade() -> bool:
            with upgrade(server, sid) as (_, status):
                return status == b"101"

        assert wait_until(may_upgrade, 5)  # and leaves
        assert wait_until(lambda: server.ask()["upgrading"] == 0, 5)
    with upgrade(server, sid) as (client, _):
        client.sendall(frame(b"2probe"))
        until(client, b"3probe")
        client.sendall(frame(b"5") + frame(b"1"))
        assert close_code(client) == 1000


def test_a_bad_packet_ends_a_session_that_polls(server: Gunicorn) -> None:
    """Without a traceback; its next poll is refused."""
    sid = poll(server)
    post = (
        b"POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % sid
    )
    statuses = []
    for body in (b"40", b"4abc", b"40"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(post + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            statuses.append(client.makefile("rb").readline().split()[1])
    assert statuses == [b"200", b"200", b"400"]


def test_frames_sent_with_the_request_are_not_lost(server: Gunicorn) -> None:
    """A client need not wait for the 101, wherever its bytes are cut: also 1 MB of them."""
    early = REQUEST + frame(b"40") + frame(b'42["echo","early"]')
    for cut in (*range(len(REQUEST) - 3, len(REQUEST) + 16, 2), len(early)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(early[:cut])
            client.sendall(early[cut:])
            until(client, b'42["echo","early"]')
    blob = frame(b'42["echo","%s"]' % (b"x" * 50_000)) * 20
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(early + blob + frame(b'42["echo","last"]'))
        assert until(client, b'42["echo","last"]').count(b'42["echo","xxxx') == 20


#: What attackers send, once their session is open, before they hold their connection; the most that each costs, in KB.
HELD = {
    "silence": (b"", 40),
    "half a header": (b"\x81\xff\x00", 40),
    "half a message of 100 KB": (b"\x82\xff" + (100_000).to_bytes(8, "big") + bytes(4 + 50_000), 40 + 128),
    "fragments": ((b"\x02" + EMPTY) + (b"\x00\xfe\x03\xe8" + bytes(4 + 1_000)) * 50, 40 + 128),
    "60,000 empty fragments": ((b"\x02" + EMPTY) + (b"\x00" + EMPTY) * 60_000, 40),
    "an attachment that is missing": (
        frame(b'452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]') + frame(bytes(50_000), 2),
        40 + 128,
    ),
    "pings, and no reading": (frame(b"x" * 125, 9) * 900, 40 + 900 * 0.25),
}  # fmt: skip


@pytest.mark.parametrize("attackers", [100, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", HELD)
def test_attackers_that_hold_their_connection_cost_little(
    server: Gunicorn, unharmed: dict[str, Any], kind: str, attackers: int
) -> None:
    """Others are served meanwhile."""
    sent, bound = HELD[kind]

    def resident() -> int:
        with open(f"/proc/{unharmed['pid']}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    with contextlib.ExitStack() as kept:
        clients = [kept.enter_context(begin_session(server.port)) for _ in range(attackers)]
        for client in clients:
            client.sendall(sent)
        with begin_session(server.port) as other:
            other.sendall(frame(b'42["echo","served"]'))
            until(other, b'42["echo","served"]')
        assert server.ask()["sessions"] >= attackers
        assert (resident() - before) / 1_000 < attackers * bound + 4_000  # and what the allocator rounds up
        for client in clients:
            reset(client)
