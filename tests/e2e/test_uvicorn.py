"""uvicorn with native WebSockets, with real clients: what an ASGI application and its clients see."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_uvicorn import Uvicorn, uvicorn
from hangup._demo.server import wait_until
from hangup.testing import reset

websocket = pytest.importorskip("websocket")

REQUEST = (
    b"GET /%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"  # a client's frame, masked with zeros
STACKS = [("asyncio", "h11"), ("asyncio", "httptools"), ("uvloop", "h11"), ("uvloop", "httptools")]

Serve = Callable[..., Uvicorn]
Open = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(*args, **env)`` starts a uvicorn that answers."""
    with contextlib.ExitStack() as kept:

        def start(*args: str, **options: str) -> Uvicorn:
            server = kept.enter_context(uvicorn(tmp_path, *args, **options))
            server.ask()
            return server

        yield start


@pytest.fixture
def connect() -> Iterator[Open]:
    """``connect(server, path)`` opens a WebSocket, and ends it after the test."""
    clients: list[Any] = []

    def opened(server: Uvicorn, path: str, **options: Any) -> Any:
        url = f"ws://127.0.0.1:{server.port}/{path}"
        clients.append(websocket.create_connection(url, timeout=20, **options))
        return clients[-1]

    yield opened
    for client in clients:
        client.shutdown()


def stack_args(stack: tuple[str, str]) -> list[str]:
    """Of uvicorn's command line, for a loop and an HTTP implementation that are installed."""
    for name in stack:
        if name != "asyncio":
            pytest.importorskip(name)
    return ["--loop", stack[0], "--http", stack[1]]


def seen(server: Uvicorn, count: int = 1) -> list[Any]:
    """What the application has seen, as soon as it is so much."""
    last: list[Any] = []

    def is_there() -> bool:
        last[:] = server.ask()["seen"]
        return len(last) >= count

    assert wait_until(is_there, 10), (last, server.log)
    return last


def warmed(server: Uvicorn, connect: Open) -> dict[str, Any]:
    """What it says of itself after the first WebSocket, which starts the engine."""
    connect(server, "warm").close()
    assert wait_until(lambda: server.ask()["connections"] == 1, 10)  # its asker's
    return server.ask()


def back_at(server: Uvicorn, before: dict[str, Any]) -> bool:
    """Whether descriptors, connections and tasks come back to what they were."""
    names = ("fds", "connections", "tasks", "all_tasks")
    return wait_until(lambda: all(server.ask()[name] <= before[name] for name in names), 10)


def ask_for(server: Uvicorn, path: str) -> tuple[int, dict[str, str], bytes]:
    """The response to an upgrade request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(REQUEST % path.encode())
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split(" ")[1]), fields, body


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_messages_go_both_ways_and_everything_returns(
    serve: Serve, connect: Open, stack: tuple[str, str]
) -> None:
    """Text, binary, empty and large, a close frame, a reset, and a loop that is not left spinning."""
    server = serve(*stack_args(stack))
    before = warmed(server, connect)
    client = connect(server, "echo")
    for message in ("x", "", "é" * 100_000, b"\x00\xff" * 500_000):
        client.send(message, websocket.ABNF.OPCODE_BINARY if isinstance(message, bytes) else 1)
        assert client.recv() == message
    client.close(4000, b"enough")
    reset(connect(server, "echo").sock)
    bye = {"type": "websocket.disconnect", "code": 4000, "reason": "enough"}
    lost = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert seen(server, 2) == [bye, lost]
    assert back_at(server, before), (before, server.ask())
    assert server.log.count('"WebSocket /echo" [accepted]') == 2
    assert "Traceback" not in server.log
    assert server.ask()["status"]["uvicorn"]["state"] == "on"
    used = cpu_seconds(before["pid"])
    assert not wait_until(lambda: cpu_seconds(before["pid"]) - used > 0.1, 0.4), "the loop spins"


def cpu_seconds(pid: int) -> float:
    """User time of a process."""
    return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]) / 100


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_what_a_client_does_not_wait_with_is_not_lost(serve: Serve, stack: tuple[str, str]) -> None:
    """Frames in one segment with the request, behind it, and while the application thinks about it."""
    server = serve(*stack_args(stack))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(REQUEST % b"late" + HELLO + HELLO[:3])
        assert wait_until(lambda: server.ask()["tasks"] == 2, 10)  # its own, and the asker's
        client.sendall(HELLO[3:] + HELLO)
        ask(server, "/open")
        stream = client.makefile("rb")
        while stream.readline() != b"\r\n":
            pass
        assert stream.read(21) == b"\x81\x05hello" * 3
        stream.close()


def ask(server: Uvicorn, path: str) -> None:
    """A request to the service."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        connection.getresponse().read()


def test_a_response_that_waits_is_sent_before_the_101(serve: Serve) -> None:
    """8 MB of a response, unread when the upgrade is accepted. Nor is a frame lost that comes while the 101 waits."""
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wait_until(lambda: '"GET /big HTTP/1.1" 200' in server.log, 10)
        client.sendall(REQUEST % b"echo" + HELLO)
        assert wait_until(lambda: '"WebSocket /echo" [accepted]' in server.log, 10)
        client.sendall(HELLO)
        stream = client.makefile("rb")
        head = iter(stream.readline, b"\r\n")
        assert b"content-length: 8000000\r\n" in list(head)
        assert stream.read(8_000_000) == bytes(8_000_000)
        assert next(iter(stream.readline, b"\r\n")).startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        assert stream.read(14) == b"\x81\x05hello" * 2
        stream.close()


def test_the_application_is_told_and_obeyed(serve: Serve, connect: Open) -> None:
    """The scope; a subprotocol and headers of its own; its close; what it may not do afterwards."""
    server = serve("--header", "x-all:yes")
    client = connect(server, "describe?a=%20b", subprotocols=["a", "b"], cookie="c=d")
    assert json.loads(client.recv()) == {
        "type": "websocket", "scheme": "ws", "path": "/describe", "query": "a=%20b", "subprotocols": ["a", "b"],
        "asgi": {"version": "3.0", "spec_version": "2.4"}, "cookie": "c=d", "client": "127.0.0.1",
    }  # fmt: skip
    assert client.getsubprotocol() == "b"
    assert client.getheaders()["x-all"] == "yes"
    assert client.getheaders()["x-extra"] in ("1", "2", "1, 2")
    code, data = client.recv_data()
    assert (code, data[:2], data[2:]) == (8, (4001).to_bytes(2, "big"), b"that was all")
    bye = {"type": "websocket.disconnect", "code": 4001, "reason": "that was all"}
    assert seen(server, 2)[0] == bye
    assert seen(server, 2)[1] in (
        "RuntimeError",
        "ClientDisconnected",
    )  # before the client's answer, or after it


def test_a_refusal_is_an_http_response(serve: Serve) -> None:
    """403, a response of the application's, 500, and what is no handshake."""
    server = serve()
    before = server.ask()
    assert ask_for(server, "refuse")[0] == 403
    assert seen(server) == [{"type": "websocket.disconnect", "code": 1006}]
    status, fields, body = ask_for(server, "deny")
    assert (status, fields["x-why"], fields["content-length"], body) == (
        401,
        "no ticket",
        "11",
        b"who are you",
    )
    for path in ("silent", "fail", "inject", "misdeny"):
        assert ask_for(server, path)[::2] == (500, b"Internal Server Error")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall((REQUEST % b"echo").replace(b"Version: 13", b"Version: 12"))
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 426 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall((REQUEST % b"echo").replace(b"Host: x\r\n", b"") + HELLO)
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
    for line in (
        '"WebSocket /refuse" 403',
        '"WebSocket /deny" 401',
        "without completing handshake",
        "RuntimeError: an application's own bug",
    ):
        assert server.log.count(line) == 1, line
    assert ask_for(server, "half")[0] == 500
    assert back_at(server, before)


def test_an_application_that_ends_ends_its_websocket(serve: Serve, connect: Open) -> None:
    """As uvicorn: without a close frame, but after everything that was sent."""
    server = serve()
    client = connect(server, "leave")
    assert client.recv() == bytes(5_000_000)
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv_frame()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        connect(server, "fail_late").recv_frame()
    assert server.log.count("RuntimeError: an application's own bug") == 1


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_send_to_a_client_that_left_raises_client_disconnected(
    serve: Serve, connect: Open, way: str
) -> None:
    """In an application that does not receive; its connection is off uvicorn's books before."""
    server = serve()
    before = warmed(server, connect)
    client = connect(server, "deaf")
    if way == "close":
        client.close()
    else:
        reset(client.sock)
    assert wait_until(lambda: server.ask()["connections"] == before["connections"], 10)
    assert server.ask()["tasks"] == before["tasks"] + 1
    ask(server, "/open")
    assert seen(server) == ["ClientDisconnected"]
    assert back_at(server, before)
    assert "Traceback" not in server.log


def test_send_waits_for_a_client_that_reads_late_and_ends_with_one_that_leaves(
    serve: Serve, connect: Open
) -> None:
    """12 MB for a client that reads nothing at first; a second one leaves instead."""
    server = serve()
    client = connect(server, "flood", sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])

    def stands_still() -> bool:
        first = server.ask()["sent"]
        return bool(first[0]) and not wait_until(lambda: server.ask()["sent"] != first, 0.3)

    assert wait_until(stands_still, 10)
    assert server.ask()["sent"][0] < 10_000, "it does not wait"
    for number in range(12_000):
        assert client.recv() == str(number).ljust(1000)
    client = connect(server, "flood", sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    assert wait_until(stands_still, 10)
    reset(client.sock)
    assert seen(server) == ["ClientDisconnected"]


def test_a_client_whose_application_is_behind_is_not_read(serve: Serve, connect: Open) -> None:
    """It sends until nothing goes, and all of it arrives in the end."""
    server = serve("--ws-ping-interval", "0.1", "--ws-ping-timeout", "0.1")
    client = connect(server, "later")
    frame = b"\x82\xfe\xff\xff\x00\x00\x00\x00" + bytes(65535)
    sent = send_until_full(client.sock, frame)
    ask(server, "/open")
    if sent % len(frame):
        client.sock.sendall(frame[sent % len(frame) :])
    client.close()
    assert seen(server) == [-(-sent // len(frame)) * 65535]


def send_until_full(client: socket.socket, frame: bytes) -> int:
    """Sends the frame again and again, until nobody has taken anything for a while. The bytes that went."""
    client.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100_000_000:
            sent += client.send(frame[sent % len(frame) :])
        raise AssertionError("it reads without end")
    client.settimeout(20)
    return sent


def test_a_message_that_is_too_big_is_refused_by_its_header(serve: Serve, connect: Open) -> None:
    """--ws-max-size: 1009 on both sides."""
    server = serve("--ws-max-size", "1000")
    client = connect(server, "echo")
    client.send("x" * 1000)
    assert client.recv() == "x" * 1000
    client.sock.sendall(b"\x81\xfe\x03\xe9\x00\x00\x00\x00")  # 1001 bytes are announced
    assert client.recv_data()[1][:2] == (1009).to_bytes(2, "big")
    assert seen(server)[0]["code"] == 1009


def test_a_client_that_does_not_answer_pings_is_left(serve: Serve, connect: Open) -> None:
    """--ws-ping-interval and --ws-ping-timeout: 1011, and the other client stays."""
    server = serve("--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.2")
    lively, client = connect(server, "echo"), connect(server, "echo")
    for _ in range(3):
        frame = lively.recv_frame()
        assert frame.opcode == websocket.ABNF.OPCODE_PING
        lively.pong(frame.data)
    frames = [client.recv_frame() for _ in range(2)]
    assert [frame.opcode for frame in frames] == [websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_CLOSE]
    assert frames[1].data == (1011).to_bytes(2, "big") + b"keepalive ping timeout"
    left = {"type": "websocket.disconnect", "code": 1011, "reason": "keepalive ping timeout"}
    assert seen(server) == [left]
    lively.send("still here")
    assert lively.recv() == "still here"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_server_that_leaves_tells_its_clients(serve: Serve, connect: Open, loop: str) -> None:
    """1012, also to one that is not answered yet; then the process ends by itself."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = serve("--loop", loop)
    clients = [connect(server, "echo") for _ in range(20)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as thinking:
        thinking.sendall(REQUEST % b"think")
        assert wait_until(lambda: server.ask()["tasks"] == 22, 10)  # with its asker's
        server.process.send_signal(signal.SIGTERM)
        assert thinking.makefile("rb").read().startswith(b"HTTP/1.1 500 ")
    for client in clients:
        assert client.recv_data() == (8, (1012).to_bytes(2, "big"))
        client.close()
    assert server.process.wait(10) == -signal.SIGTERM  # uvicorn's own way
    assert "Traceback" not in server.log


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_switched_off_it_is_uvicorns_own(serve: Serve, connect: Open, mode: str) -> None:
    """HANGUP=off: nothing native, and said so."""
    server = serve(HANGUP=mode)
    client = connect(server, "echo")
    client.send("hello")
    assert client.recv() == "hello"
    facts = server.ask()
    assert facts["websockets"] == 0
    assert facts["status"]["uvicorn"]["reason"] == f"HANGUP={mode}"


def test_tls_connections_keep_uvicorns_own(tmp_path: Path) -> None:
    """They cannot leave their transport: said so, and they work."""
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "cert.pem", "-days", "1", "-subj", "/CN=localhost"], capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("openssl is not installed")
    keys = ["--ssl-keyfile", str(tmp_path / "key.pem"), "--ssl-certfile", str(tmp_path / "cert.pem")]
    with uvicorn(tmp_path, *keys) as server:
        assert wait_until(lambda: server.port > 0, 10)
        url, options = f"wss://127.0.0.1:{server.port}/echo", {"cert_reqs": ssl.CERT_NONE}
        with contextlib.closing(websocket.create_connection(url, sslopt=options, timeout=10)) as client:
            client.send("hello")
            assert client.recv() == "hello"
        connection = HTTPSConnection(
            "127.0.0.1", server.port, context=ssl._create_unverified_context(), timeout=10
        )
        with contextlib.closing(connection):
            connection.request("GET", "/")
            facts = json.loads(connection.getresponse().read())
        assert facts["websockets"] == 0
        assert facts["status"]["uvicorn"]["reason"] == "TLS connections stay with uvicorn"
