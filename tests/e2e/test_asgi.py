"""``hangup.asgi.Hangup`` on real servers: heartbeat, deadlines, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hangup
import pytest
from e2e_asgi import SERVERS, frame, open_websocket, serve, until, vanish
from hangup._asgi import dialects
from hangup._demo.server import wait_until
from hangup.asgi import Hangup
from hangup.testing import reset

APP = """
import asyncio, json, os
import hangup, hangup.asgi
seen, lifespan, specs = [], [], set()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        lifespan.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        lifespan.append((await receive())["type"])
        return
    if scope["type"] == "websocket":
        specs.add(scope["asgi"].get("spec_version"))
        await receive()
        await send({"type": "websocket.accept"})
    elif scope["path"] == "/":
        said = {
            "pid": os.getpid(), "seen": seen, "lifespan": lifespan, "stats": hangup.stats(),
            "tasks": len(asyncio.all_tasks()), "specs": list(specs), "status": hangup.status()["integrations"],
            "fds": len(os.listdir("/proc/self/fd")),
        }
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})
        return
    try:
        await globals()[scope["path"].strip("/")](scope, receive, send)
    except BaseException as error:
        seen.append(type(error).__name__)
        raise

async def listen(scope, receive, send):
    while (message := await receive())["type"] == "websocket.receive":
        seen.append(message["text"])
    seen.append([message["type"], message.get("code")])

async def listen_for_ever(scope, receive, send):
    while True:
        await receive()

async def hear(scope, receive, send):
    everybody = hangup.Broadcaster([scope])
    async def ticking():
        for number in range(6):
            await asyncio.sleep(0.15)
            everybody.send(f"tick {number}")
    ticks = asyncio.create_task(ticking())
    await listen(scope, receive, send)

async def flood(scope, receive, send):
    for _ in range(400):
        await send({"type": "websocket.send", "bytes": bytes(60_000)})
    await listen(scope, receive, send)

async def flood_at_once(scope, receive, send):
    one = {"type": "websocket.send", "bytes": bytes(60_000)}
    await asyncio.gather(*(send(one) for _ in range(400)))
    await listen(scope, receive, send)

async def talk(scope, receive, send):
    while True:
        await send({"type": "websocket.send", "text": "hello"})
        await asyncio.sleep(0)

async def stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async def sent():
        while True:
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
            await asyncio.sleep(0.01)
    streaming = asyncio.create_task(sent())
    await receive()
    seen.append([(await receive())["type"], (await receive())["type"]])
    streaming.cancel()

async def pour(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(400):
        await send({"type": "http.response.body", "body": bytes(60_000), "more_body": True})
    seen.append("poured")

async def own_os_error(scope, receive, send):
    raise ConnectionResetError("of a database")

async def twice(scope, receive, send):
    await send({"type": "websocket.close"})
    await send({"type": "websocket.send", "text": "more"})

try:
    from starlette.responses import StreamingResponse
except ImportError:
    pass
else:
    async def starlette(scope, receive, send):
        async def numbers():
            try:
                while True:
                    yield b"0123456789" * 100
                    await asyncio.sleep(0.01)
            finally:
                seen.append("closed")
        await StreamingResponse(numbers())(scope, receive, send)

class Database:
    '''A middleware around ours, which has a connection of its own.'''
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def saved(message):
            if message.get("text") == "hello":
                raise BrokenPipeError("of a database")
            await send(message)
        await self.app(scope, receive, saved if os.environ.get("DATABASE") else send)

app = Database(hangup.asgi.Hangup(app, **json.loads(os.environ.get("OPTIONS", "{}"))))
"""

SILENT = json.dumps({"heartbeat": 0.3, "heartbeat_timeout": 0.4})


def seen(server: Any, count: int = 1, within: float = 10) -> list[Any]:
    """What the application has seen, as soon as it is so much."""
    last: list[Any] = []

    def is_there() -> bool:
        last[:] = server.ask()["seen"]
        return len(last) >= count

    assert wait_until(is_there, within), (last, server.log[-3000:])
    return last


@pytest.mark.parametrize("kind", SERVERS)
def test_a_silent_client_is_gone_and_the_others_do_not_notice(tmp_path: Path, kind: str) -> None:
    """Its packets are dropped: no FIN, no RST. An answer may be anything; the ack is not the application's."""
    with serve(tmp_path, kind, APP, OPTIONS=SILENT) as server, contextlib.ExitStack() as kept:
        silent, lively = (kept.enter_context(open_websocket(server, "/listen")) for _ in range(2))
        before = time.monotonic()
        vanish(silent)
        answers = 0

        def is_gone() -> bool:
            nonlocal answers
            with contextlib.suppress(TimeoutError):
                lively.settimeout(0.05)
                said = lively.recv(4096)
                assert said
                assert b"heartbeat" in said or said[:1] == b"\x89", said
                lively.sendall(
                    frame(b"", 10) if said[:1] == b"\x89" else frame(b'{"type": "heartbeat_ack", "n": 1}')
                )
                answers += 1
            return bool(server.ask()["seen"])

        assert wait_until(is_gone, 10)
        assert 0.6 < time.monotonic() - before < 3
        assert answers >= 1
        reset(silent)
        code = 1011 if kind == "native" else 1006  # uvicorn's for a ping without an answer
        assert seen(server) == [["websocket.disconnect", code]]
        lively.sendall(frame(b"still here"))
        assert seen(server, 2)[1] == "still here"
        said = server.ask()
        assert said["stats"]["asgi_silent_clients"] == (kind != "native")
        assert said["lifespan"] == (
            ["lifespan.startup"] if kind in ("hypercorn", "granian", "gunicorn") else []
        )


@pytest.mark.parametrize("path", ["flood", "flood_at_once"])
def test_a_slow_client_is_gone(tmp_path: Path, path: str) -> None:
    """By the time that ``send`` waits, or by the bytes that wait in it."""
    limit = {"send_timeout": 0.5} if path == "flood" else {"max_queued": 600_000}
    with serve(tmp_path, "uvicorn", APP, OPTIONS=json.dumps(limit)) as server:
        before = server.ask()["tasks"]
        with open_websocket(server, f"/{path}", rcvbuf=4096):
            assert seen(server) == [["websocket.disconnect", 1013]]
            name = "asgi_slow_clients" if path == "flood" else "asgi_queue_overflows"
            stats = server.ask()["stats"]
            assert stats[name] == 1
            assert stats["asgi_sends_after_gone"] > 100
        assert wait_until(lambda: server.ask()["tasks"] == before, 10)
        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", [kind for kind in SERVERS if kind not in ("native", "daphne")])
def test_a_slow_reader_of_a_response_is_gone_and_nothing_is_logged(tmp_path: Path, kind: str) -> None:
    """Its connection ends: that the response was not completed is its own doing."""
    with serve(tmp_path, kind, APP, OPTIONS='{"send_timeout": 0.3}') as server:
        before = server.ask()
        with hangup.testing.connect(("127.0.0.1", server.port), rcvbuf=4096, timeout=20) as client:
            client.sendall(b"GET /pour HTTP/1.1\r\nHost: x\r\n\r\n")
            assert seen(server) == ["poured"]
            assert server.ask()["stats"]["asgi_slow_clients"] == 1
            if kind in ("uvicorn", "gunicorn"):  # the others wait until it has left by itself
                assert wait_until(lambda: server.ask()["fds"] <= before["fds"], 10), server.ask()
            assert drained(client).count(b"\0") < 400 * 60_000
        assert not re.search("ERROR|WARNING|Traceback|Exception", server.log), server.log[-3000:]


def drained(client: Any) -> bytes:
    """All that it is sent, up to the end of the connection, however that comes."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65_536):
            received += more
    assert not received.endswith(b"0\r\n\r\n")  # which would say that this is all
    return bytes(received)


def test_an_idle_client_is_closed(tmp_path: Path) -> None:
    """One that says something is not."""
    with serve(tmp_path, "uvicorn", APP, OPTIONS='{"idle_timeout": 0.4}') as server:
        with open_websocket(server, "/listen") as client:
            for _ in range(4):
                wait_until(lambda: False, 0.15)
                client.sendall(frame(b"x"))
            assert until(client, b"\x88\x02\x0b\xc0")  # 3008
            assert seen(server, 5) == ["x"] * 4 + [["websocket.disconnect", 3008]]
        assert server.ask()["stats"]["asgi_idle_clients"] == 1


def test_a_native_client_that_others_send_to_is_not_idle(tmp_path: Path) -> None:
    """A broadcast passes its consumer by. When there is none any more, it is closed after as long as anybody."""
    with serve(tmp_path, "native", APP, OPTIONS='{"idle_timeout": 0.5}') as server:
        with open_websocket(server, "/hear") as client:
            for number in range(6):
                until(client, b"tick %d" % number)
            before = time.monotonic()
            until(client, b"\x88\x02\x0b\xc0")  # 3008
            assert 0.4 < time.monotonic() - before < 2
        assert server.ask()["stats"]["asgi_idle_clients"] == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [*((kind, "{}") for kind in SERVERS), *((kind, '{"raise_gone": true}') for kind in SERVERS[::2])],
)
def test_who_never_asks_ends_as_well(tmp_path: Path, kind: str, options: str) -> None:
    """By ``PeerGone``, at once or after a thousand sends, which nobody logs; so does who asks again."""
    with serve(tmp_path, kind, APP, OPTIONS=options) as server:
        for path in ("/talk", "/listen_for_ever"):
            reset(open_websocket(server, path))
        assert seen(server, 2) == ["PeerGone"] * 2
        if kind == "uvicorn":
            assert server.ask()["specs"] == ["2.3" if options == "{}" else "2.4"]  # where `send` may raise
        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "gunicorn"])
def test_streams_end_with_their_client(tmp_path: Path, kind: str) -> None:
    """A plain one, and Starlette's, whose generator is closed."""
    pytest.importorskip("starlette")
    with serve(tmp_path, kind, APP) as server:
        for count, path in enumerate(("stream", "starlette"), 1):
            client = open_stream(server.port, path)
            reset(client)
            assert seen(server, count)[-1] == (["http.disconnect"] * 2 if count == 1 else "closed")
        assert "Traceback" not in server.log, server.log


def open_stream(port: int, path: str) -> Any:
    """After the first bytes of its body."""
    client = hangup.testing.connect(("127.0.0.1", port), timeout=20)
    client.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    until(client, b"\r\n\r\n")
    until(client, bytes(100) if path == "stream" else b"0123456789")
    return client


def test_errors_of_others_pass(tmp_path: Path) -> None:
    """An application's own, a middleware's own, and of a send after its own close."""
    with serve(tmp_path, "uvicorn", APP, DATABASE="1") as server, contextlib.ExitStack() as kept:
        for path in ("/own_os_error", "/talk", "/twice"):
            kept.enter_context(open_websocket(server, path))
        assert sorted(seen(server, 3)) == ["BrokenPipeError", "ConnectionResetError", "RuntimeError"]
        assert server.log.count("Traceback") >= 3
        assert server.ask()["stats"]["asgi_sends_after_gone"] == 0


def test_off_is_off(tmp_path: Path) -> None:
    """The server's own exception arrives."""
    with serve(tmp_path, "uvicorn", APP, HANGUP="off") as server:
        reset(open_websocket(server, "/talk"))
        assert seen(server) == ["ClientDisconnected"]
        said = server.ask()
        assert (said["specs"], said["status"]["asgi"]["reason"]) == (["2.4"], "HANGUP=off")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("heartbeat", 0, ValueError),
        ("heartbeat_timeout", -1, ValueError),
        ("idle_timeout", "5", TypeError),
        ("send_timeout", True, TypeError),
        ("max_queued", float("nan"), ValueError),
        ("app", None, TypeError),
    ],
)
def test_bad_arguments_are_named(name: str, value: Any, error: type[Exception]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Is not called."""

    with pytest.raises(error, match=f"^{name}: "):
        Hangup(**{"app": app, name: value})


def test_what_only_looks_like_a_departure_is_none() -> None:
    """Types and texts alone are not enough: it counts where they come from."""

    class ClientDisconnected(OSError):
        """A namesake."""

    for error in (
        ClientDisconnected(),
        RuntimeError("WebSocket closed"),
        RuntimeError("the handler is closed"),
    ):
        with pytest.raises(type(error)) as raised:
            raise error
        assert not dialects.is_departure(raised.value)


def test_importing_needs_nothing() -> None:
    code = (
        "import hangup.asgi, hangup.channels, sys; print('channels' in sys.modules, 'django' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
