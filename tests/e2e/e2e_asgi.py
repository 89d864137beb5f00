"""ASGI servers for tests, and clients that leave while they are being sent to."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Optional

import pytest
from e2e_gunicorn import Gunicorn
from e2e_uvicorn import NATIVE
from hangup.testing import connect, half_close, reset, vanish
from raw_websocket import frame, until

ROOT = Path(__file__).resolve().parents[2]
#: Servers that are installed by themselves: the Makefile says why.
BESIDE = {"daphne": ROOT / ".daphne" / "4", "hypercorn": ROOT / ".hypercorn" / "0"}

#: The command line of each, behind ``python -m``.
COMMANDS = {
    "uvicorn": "uvicorn --port 0 --lifespan off app:app",
    "native": f"uvicorn --port 0 --lifespan off --ws {NATIVE} app:app",
    "daphne": "daphne -b 127.0.0.1 -p 0 app:app",
    "hypercorn": "hypercorn -b 127.0.0.1:0 app:app",
    "granian": "granian --interface asgi --host 127.0.0.1 --port {port} app:app",
    "gunicorn": "gunicorn -k asgi -b 127.0.0.1:0 app:app",
}
SERVERS = tuple(COMMANDS)

#: A service of Channels that counts, in the words of its own source; ``bases`` and ``wrap`` are the environment's.
CHANNELS_APP = """
import asyncio, json, os, time
import django
from django.conf import settings
EXPIRY = int(os.environ.get("GROUP_EXPIRY", "86400"))
LAYERS = {"memory": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"group_expiry": EXPIRY}}}
LAYERS["core"] = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ.get("REDIS")]}}
LAYERS["pubsub"] = {**LAYERS["core"], "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}
settings.configure(
    SECRET_KEY="of a test", CHANNEL_LAYERS={"default": LAYERS[os.environ.get("LAYER", "memory")]},
    LOGGING_CONFIG=None,
)
django.setup()
import hangup, hangup.asgi, hangup.channels
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer, WebsocketConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from asgiref.sync import async_to_sync

HOW = os.environ.get("HOW", "hangup")
OPTIONS = json.loads(os.environ.get("OPTIONS", "{}"))
HEARTBEAT = json.loads(os.environ.get("HEARTBEAT", "null"))
bases = (hangup.channels.HangupConsumerMixin,) if HOW in ("mixin", "both") else ()
counted = {"connected": 0, "disconnected": 0, "twice": 0, "codes": [], "received": [], "there": []}
gone = set()

def left(consumer, code):
    counted["disconnected"] += 1
    counted["twice"] += consumer in gone
    gone.add(consumer)
    counted["codes"].append(code)

class Async(*bases, AsyncJsonWebsocketConsumer):
    groups = ["everybody"]
    heartbeat, heartbeat_timeout = HEARTBEAT, 0.5

    async def connect(self):
        await self.channel_layer.group_add("ours", self.channel_name)
        await self.accept()
        counted["connected"] += 1

    async def receive_json(self, content):
        counted["received"].append(content)
        if content == "fail":
            raise RuntimeError("a handler's own error")
        if content == "hang":
            await asyncio.sleep(3600)
        if content == "flood":
            for number in range(40):
                await self.send_json({"n": number, "pad": "x" * 20_000})
                await asyncio.sleep(0.005)
        elif content == "safely":
            while await self.safe_send_json("are you there?"):
                await asyncio.sleep(0.005)
            counted["there"].append(await self.safe_send("text"))
        else:
            await self.send_json(content)

    async def disconnect(self, code):
        left(self, code)
        if HOW not in ("mixin", "both"):  # there it is the mixin's
            await self.channel_layer.group_discard("ours", self.channel_name)

class Sync(*bases, JsonWebsocketConsumer):
    groups = ["everybody"]
    heartbeat, heartbeat_timeout = HEARTBEAT, 0.5

    def connect(self):
        async_to_sync(self.channel_layer.group_add)("ours", self.channel_name)
        self.accept()
        counted["connected"] += 1

    def receive_json(self, content):
        if content == "fail":
            raise RuntimeError("a handler's own error")
        if content == "flood":
            for number in range(20):
                self.send_json({"n": number, "pad": "x" * 20_000})
                time.sleep(0.005)
        elif content == "safely":
            while self.safe_send_json("are you there?"):
                time.sleep(0.005)
            counted["there"].append(self.safe_send("text"))
        else:
            self.send_json(content)

    def disconnect(self, code):
        left(self, code)
        if HOW not in ("mixin", "both"):
            async_to_sync(self.channel_layer.group_discard)("ours", self.channel_name)

class AsyncText(*bases, AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        while await self.safe_send("are you there?"):
            await asyncio.sleep(0.005)

    async def disconnect(self, code):
        left(self, code)

class SyncText(*bases, WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        while self.safe_send("are you there?"):
            time.sleep(0.005)

    def disconnect(self, code):
        left(self, code)

fanout = hangup.channels.GroupFanout()

class Fan(hangup.channels.HangupConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self):
        await fanout.add("fan", self)
        await fanout.add("fan", self)
        await self.accept()
        await self.send_json("welcome")
        counted["connected"] += 1

    async def receive_json(self, content):
        if content == "stray":
            await self.channel_layer.group_send("fan", {"type": "stray"})
        else:
            await fanout.send("fan", json.dumps(content) if content != "bytes" else b"bytes")

    async def stray(self, event):
        pass

    async def disconnect(self, code):
        left(self, code)

class SyncFan(hangup.channels.HangupConsumerMixin, JsonWebsocketConsumer):
    def connect(self):
        async_to_sync(fanout.add)("fan", self)
        self.accept()
        self.send_json("welcome")

    def receive_json(self, content):
        async_to_sync(fanout.send)("fan", json.dumps(content))

    def stray(self, event):
        pass

    def disconnect(self, code):
        async_to_sync(fanout.discard)("fan", self)
        left(self, code)

KINDS = {"/async": Async, "/sync": Sync, "/async-text": AsyncText, "/sync-text": SyncText}
KINDS.update({"/fan": Fan, "/sync-fan": SyncFan})
consumers = {path: kind.as_asgi() for path, kind in KINDS.items()}

async def channels(scope, receive, send):
    if scope["type"] == "websocket":
        return await consumers[scope["path"]](scope, receive, send)
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    groups = getattr(get_channel_layer(), "groups", {})
    said = {
        "pid": os.getpid(), **counted, "members": sum(map(len, groups.values())), "stats": hangup.stats(),
        "fds": len(os.listdir("/proc/self/fd")), "tasks": len(asyncio.all_tasks()),
        "status": hangup.status()["integrations"],
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})

app = hangup.asgi.Hangup(channels, **OPTIONS) if HOW in ("hangup", "both") else channels
"""


class Server(Gunicorn):
    """Any of them, ended by its pid."""

    def __init__(self, directory: Path, kind: str, app: str, **env: str) -> None:
        require(kind)
        (directory / "app.py").write_text(app)
        self.log_file = directory / "log"
        self._is_gunicorn = kind == "gunicorn"
        path = [
            str(directory),
            *([str(BESIDE[kind])] if kind in BESIDE else []),
            os.environ.get("PYTHONPATH", ""),
        ]
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "HOME": str(directory), **env,
        }  # fmt: skip
        self._chosen = free_port() if "{port}" in COMMANDS[kind] else 0
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *COMMANDS[kind].format(port=self._chosen).split()],
                cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def end(self) -> int:
        """gunicorn's worker looks once a second whether it is to end."""
        self.process.terminate()
        if self._is_gunicorn:
            for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        return super().end()

    @property
    def port(self) -> int:
        """From the kernel: not every server says it. A worker's is its master's."""
        if self._chosen or self.process.poll() is not None:
            return self._chosen
        listening = {}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening[f"socket:[{fields[9]}]"] = int(fields[1].partition(":")[2], 16)
        for name in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(OSError):
                number = listening.get(os.readlink(f"/proc/{self.process.pid}/fd/{name}"))
                if number is not None:
                    return number
        return 0


def free_port() -> int:
    """For granian, whose workers listen each for itself, and who does not say where."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def require(kind: str) -> None:
    """Skips the test by the name of what is missing."""
    for name in ("channels", "django"):
        pytest.importorskip(name)
    if kind in BESIDE:
        if not (BESIDE[kind] / "ready").exists():
            pytest.skip(f"{kind} is not installed")
    elif find_spec("uvicorn" if kind == "native" else kind) is None:
        pytest.skip(f"{kind} is not installed")
    if kind == "gunicorn" and sys.version_info < (3, 10):
        pytest.skip("gunicorn's asgi worker needs Python 3.10")


@contextlib.contextmanager
def serve(directory: Path, kind: str, app: str = CHANNELS_APP, **env: str) -> Iterator[Server]:
    """A server that answers."""
    server = Server(directory, kind, app, **env)
    try:
        server.ask()
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def open_websocket(server: Server, path: str = "/async", rcvbuf: Optional[int] = None) -> socket.socket:
    """After its handshake."""
    client = connect(("127.0.0.1", server.port), rcvbuf=rcvbuf, timeout=20)
    try:
        client.sendall(
            b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            % path.encode()
        )
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):  # and not what comes behind it
            head += client.recv(1) or pytest.fail(f"it hung up: {bytes(head)!r}")
        assert b" 101 " in head.partition(b"\r\n")[0], head
    except BaseException:
        client.close()
        raise
    return client


def send_close_frame(client: socket.socket) -> None:
    client.sendall(frame(struct.pack("!H", 4001), 8))


def stall(client: socket.socket) -> None:
    """It is there, and reads nothing."""


#: The ways to leave.
WAYS: dict[str, Callable[[socket.socket], None]] = {
    "reset": reset,
    "fin": half_close,
    "close frame": send_close_frame,
    "stall": stall,
}

__all__ = ["CHANNELS_APP", "SERVERS", "WAYS", "Server", "frame", "open_websocket", "serve", "until", "vanish"]
