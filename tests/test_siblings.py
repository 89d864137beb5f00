"""What siblings tell each other, without a server: ids, requests, inboxes."""

from __future__ import annotations

import io
import os
import secrets
import select
import socket
import subprocess
import sys
import time

import pytest
from hangup import _hangup, _siblings
from hangup._siblings import owner, passing
from hypothesis import given
from hypothesis import strategies as st

SECRET = secrets.token_bytes(16)


def test_an_id_names_its_owner_to_those_who_know_the_secret() -> None:
    """And to nobody else."""
    sid = owner.session_id(SECRET)
    assert len(sid) == 20
    assert owner.owner_of(sid, SECRET) == os.getpid()
    assert owner.owner_of(sid, secrets.token_bytes(16)) is None


@given(st.integers(0, 119))
def test_an_id_with_any_bit_changed_is_nobody_s(bit: int) -> None:
    """Chance, owner, or tag."""
    import base64

    octets = bytearray(base64.urlsafe_b64decode(owner.session_id(SECRET)))
    octets[bit // 8] ^= 1 << bit % 8
    assert owner.owner_of(base64.urlsafe_b64encode(octets).decode(), SECRET) is None


@given(st.text())
def test_any_text_can_be_asked_for_its_owner(text: str) -> None:
    """It is what clients send."""
    assert owner.owner_of(text, SECRET) is None


def test_ids_of_one_process_have_nothing_in_common() -> None:
    """Its pid would show otherwise."""
    ids = [owner.session_id(SECRET) for _ in range(64)]
    assert all(len({sid[place] for sid in ids}) > 8 for place in range(20))


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("expect", "content-length", "content-type", "transfer-encoding")
)
VALUES = st.from_regex(r"[!-~\xa1-\xff]([ -~\xa1-\xff]{0,20}[!-~\xa1-\xff])?", fullmatch=True)


@given(
    st.dictionaries(NAMES.map(str.upper), VALUES, max_size=8),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.binary(max_size=200),
)
def test_a_request_that_is_passed_is_parsed_to_the_same_environ(
    headers: dict[str, str], method: str, body: bytes
) -> None:
    """By gunicorn's own parser, and its own code that makes an environ."""
    pytest.importorskip("gunicorn")
    from gunicorn.config import Config
    from gunicorn.http import wsgi
    from gunicorn.http.parser import RequestParser

    config = Config()

    def environ_of(data: bytes) -> tuple[dict[str, object], bytes]:
        parser = RequestParser(config, iter([data]), ("10.1.2.3", 4))
        request = next(parser)
        _, environ = wsgi.create(request, None, ("10.1.2.3", 4), ("127.0.0.1", 80), config)
        return environ, environ["wsgi.input"].read()

    head = [f"{method} /socket.io/?EIO=4&transport=polling&x=%20%2F HTTP/1.1", "Host: x"]
    head += [f"{name}: {value}" for name, value in headers.items() if name != "HOST"]
    head += [f"Content-Length: {len(body)}"] if method == "POST" else []
    sent = "\r\n".join([*head, "", ""]).encode("latin-1")
    first, first_body = environ_of(sent + body)
    again, again_body = environ_of(passing.request(first) + (body if method == "POST" else b""))
    assert first_body == again_body == (body if method == "POST" else b"")
    different = {
        key: (first.get(key), again.get(key))
        for key in first.keys() | again.keys()
        if isinstance(first.get(key), (str, int)) and first.get(key) != again.get(key)
    }
    assert different == {}


def test_what_gunicorn_has_answered_is_not_passed() -> None:
    """A client that expected "100 Continue" has it."""
    environ = {
        "REQUEST_METHOD": "POST", "RAW_URI": "/x?EIO=4", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "EIO=4",
        "HTTP_EXPECT": "100-continue", "HTTP_SCRIPT_NAME": "/app", "CONTENT_LENGTH": "3",
    }  # fmt: skip
    assert (
        passing.request(environ)
        == b"POST /x?EIO=4 HTTP/1.1\r\nSCRIPT_NAME: /app\r\nCONTENT-LENGTH: 3\r\n\r\n"
    )


def test_a_client_behind_the_proxy_protocol_stays_who_it_is() -> None:
    """The line in front of the first request is written again."""
    environ = {
        "REQUEST_METHOD": "GET", "RAW_URI": "/?EIO=4", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "EIO=4",
        "PROXY_PROTOCOL": "TCP4", "REMOTE_ADDR": "10.0.0.9", "REMOTE_PORT": "77", "PROXY_ADDR": "10.0.0.1",
        "PROXY_PORT": 80,
    }  # fmt: skip
    assert passing.request(environ).startswith(
        b"PROXY TCP4 10.0.0.9 10.0.0.1 77 80\r\nGET /?EIO=4 HTTP/1.1\r\n"
    )


def named() -> bytes:
    return b"hangup-test-" + secrets.token_hex(8).encode()


def taken(inbox: _hangup.Inbox) -> tuple[bytes, int]:
    assert select.select([inbox], [], [], 10)[0]
    message = inbox.take()
    assert message is not None
    return message


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=6))
def test_messages_arrive_whole_and_in_order(sizes: list[int]) -> None:
    """Also those that are too long for a packet."""
    name = named()
    inbox, line = _hangup.Inbox(name), None
    line = _hangup.Line(name)
    for size in sizes:
        assert line.send(bytes([size % 256]) * size, -1, 10.0)
    assert [taken(inbox) for _ in sizes] == [(bytes([size % 256]) * size, -1) for size in sizes]
    assert inbox.take() is None
    inbox.close()


def test_a_descriptor_goes_along_and_stays_the_sender_s() -> None:
    """Its number here is this process's."""
    name = named()
    inbox, line = _hangup.Inbox(name), _hangup.Line(name)
    here, there = socket.socketpair()
    with here, there:
        assert line.send(b"", here.fileno(), 10.0)
        data, fd = taken(inbox)
        assert data == b""
        assert fd not in (-1, here.fileno())
        with socket.socket(fileno=fd) as passed:
            passed.sendall(b"from the other side")
        assert there.recv(100) == b"from the other side"
    inbox.close()


def test_nobody_listens_under_a_name_that_is_gone() -> None:
    """ConnectionRefusedError: gone is told apart from full."""
    with pytest.raises(ConnectionRefusedError):
        _hangup.Line(named())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_user_is_not_heard() -> None:
    """It can list the names, connect and write: nothing of it is taken in. And it can hear nothing."""
    name = named()
    inbox = _hangup.Inbox(name)
    code = (
        "import os, socket, sys; os.setuid(65534)\n"
        "line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "line.connect(b'\\0' + os.fsencode(sys.argv[1])); line.settimeout(10)\n"
        "try:\n"
        "    line.sendmsg([b'\\0forged'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, (1).to_bytes(4, sys.byteorder))])\n"
        "    print(line.recv(10))\n"
        "except (BrokenPipeError, ConnectionResetError): print(b'')\n"
    )
    said = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=30)
    assert said.stdout == "b''\n", said.stderr
    assert inbox.take() is None
    assert _hangup.Line(name).send(b"ours", -1, 10.0)
    assert taken(inbox) == (b"ours", -1)
    inbox.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_nothing_is_told_to_another_user_under_our_name() -> None:
    """Who takes the name of a worker that has ended."""
    name = named()
    code = (
        "import os, socket, sys; os.setuid(65534)\n"
        "inbox = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "inbox.bind(b'\\0' + os.fsencode(sys.argv[1])); inbox.listen(); print('listens', flush=True); sys.stdin.read()"
    )
    squatter = subprocess.Popen(
        [sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == b"listens\n"
        with pytest.raises(PermissionError):
            _hangup.Line(name)
    finally:
        squatter.communicate(timeout=30)


def test_a_socket_begins_with_what_was_read_elsewhere() -> None:
    """In portions of any size, and then what the client sends."""
    from hangup._siblings.arrivals import Passed, socket_of

    here, there = socket.socketpair()
    with there:
        passed = socket_of(Passed(here.detach(), "", b"GET / HT", passing.SESSION))
        there.sendall(b"TP/1.1")
        assert passed.recv(3, socket.MSG_PEEK) == b"GET"
        assert passed.recv(3) == b"GET"
        room = bytearray(4)
        assert passed.recv_into(room) == 4
        assert bytes(room) == b" / H"
        assert io.BufferedReader(passed.makefile("rb", 0)).read(7) == b"TTP/1.1"
        first: dict[str, object] = {}
        second: dict[str, object] = {}
        passed.tell(first)
        passed.tell(second)  # of the connection's next request
        assert (first, second) == ({passing.CAME_FOR: passing.SESSION}, {})
        passed.close()


def test_who_has_no_secret_knows_nobody() -> None:
    """Outside of a gunicorn with hangup."""
    assert _siblings.secret() is None
    assert passing._stays({"QUERY_STRING": "EIO=4&transport=polling"}) == passing.SESSION


def test_lines_to_those_that_have_gone_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the next one is opened: workers come and go for as long as their master lives."""
    monkeypatch.setattr(_siblings, "_secret", SECRET)
    monkeypatch.setattr(_siblings, "_lines", {})
    pids = range(4_200_000, 4_200_020)
    inboxes = [_hangup.Inbox(_siblings._name(pid, _siblings.MESSAGES)) for pid in pids]
    before = _hangup.open_descriptors()
    for pid in pids:
        monkeypatch.setattr(_siblings._hangup, "loads", lambda pid=pid: [(pid, 0)])
        assert _siblings.send(pid, _siblings.MESSAGES, b"here")
        assert list(_siblings._lines) == [(pid, _siblings.MESSAGES)]
    assert [taken(inbox) for inbox in inboxes] == [(b"here", -1)] * len(inboxes)
    _siblings._lines.clear()
    # the other ends of the lines go when the engine has seen their end
    deadline = time.monotonic() + 10
    while _hangup.open_descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _hangup.open_descriptors() <= before
    for inbox in inboxes:
        inbox.close()
