"""The services that ours are compared with: the same events on other stacks. Each is made of a core."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
from functools import cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Optional

from ._load import hangup_load_program
from ._process import ROOT, Process, Unavailable
from ._server import LISTENING, Server

_ASYNCIO = "benches.socketio_apps:asyncio"
_BUILD_SECONDS = 900
_FLASK = "benches.socketio_apps:flask()"
_NODE = ROOT / "benches" / "node"
_SOCKETIOXIDE = ROOT / "benches" / "socketioxide"
#: Of a gunicorn with several.
WORKERS = 4
_UVICORN_LISTENING = r"Uvicorn running on http://127\.0\.0\.1:([0-9]+)"
_LOCKED = re.compile(r'name = "socketioxide"\nversion = "([^"]+)"')


def versions() -> dict[str, str]:
    """Of those that are not Python's; "" for what is not there."""
    found = {"socketioxide": "", "socket.io": ""}
    if locked := _LOCKED.search((_SOCKETIOXIDE / "Cargo.lock").read_text()):
        found["socketioxide"] = locked.group(1)
    package = _NODE / "node_modules" / "socket.io" / "package.json"
    if package.exists():
        found["socket.io"] = json.loads(package.read_text())["version"]
    return found


def gevent(core: int) -> Process:
    """Stock Flask-SocketIO on gevent with gevent-websocket."""
    _needs("gevent", "geventwebsocket")
    worker = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
    return Server(False, worker, _FLASK, core, env={"MODE": "gevent"})


def eventlet(core: int) -> Process:
    """Stock Flask-SocketIO on eventlet, under the last gunicorn that all of its releases run on."""
    _needs("eventlet")
    return Server(False, "eventlet", _FLASK, core, version="21.2.0", env={"MODE": "eventlet"})


def gthread(core: int, clients: int) -> Process:
    """Stock Flask-SocketIO on gthread: a thread for every client. Fewer, and the others wait until it leaves."""
    return Server(False, "gthread", _FLASK, core, threads=clients)


def uvicorn(core: int) -> Process:
    """python-socketio's asynchronous server on uvicorn."""
    _needs("uvicorn", "websockets")
    command = ["-m", "uvicorn", "--factory", _ASYNCIO, "--port", "0"]
    return Process(command, _UVICORN_LISTENING, core)


def channels(core: int, app: str = "stock", *options: str) -> Process:
    """Channels on uvicorn, with a Redis of its own, which has the same core."""
    _needs("uvicorn", "websockets", "django", "channels", "channels_redis")
    _needs_redis()
    return _UvicornAndRedis(_uvicorn(f"benches.channels_apps:{app}", *options), _UVICORN_LISTENING, core=core)


def workers_and_redis(core: int) -> Process:
    """Flask-SocketIO on several workers with hangup, which tell each other things through Redis."""
    _needs_redis()
    app = "benches.socketio_apps:queued()"
    return _GunicornAndRedis(True, "gthread", app, core=core, threads=8, workers=WORKERS)


def _needs_redis() -> None:
    if shutil.which("redis-server") is None:
        raise Unavailable("redis-server is not installed")


def idle_channels(core: int, app: str, *options: str) -> Process:
    """Channels on uvicorn, without a Redis."""
    _needs("uvicorn", "websockets", "django", "channels")
    return Process(_uvicorn(f"benches.channels_apps:{app}", *options), _UVICORN_LISTENING, core)


def django_on_uvicorn(core: int, app: str) -> Process:
    """Django on uvicorn."""
    _needs("uvicorn", "django")
    return Process(_uvicorn(f"benches.django_apps:{app}", "--no-access-log"), _UVICORN_LISTENING, core)


def _uvicorn(factory: str, *options: str) -> list[str]:
    return ["-m", "uvicorn", "--factory", factory, "--port", "0", "--lifespan", "off", *options]


def granian(core: int) -> Process:
    """python-socketio's asynchronous server on granian."""
    _needs("granian")
    with socket.create_server(("127.0.0.1", 0)) as free:  # it does not say which port 0 has become
        port = str(free.getsockname()[1])
    command = ["-m", "granian", "--interface", "asgi", "--factory", _ASYNCIO, "--port", port]
    return _Granian(command, LISTENING, core)


def node(core: int) -> Process:
    """Socket.IO on Node."""
    if not (_NODE / "node_modules" / "socket.io").is_dir():
        raise Unavailable("Node's Socket.IO: npm ci in benches/node")
    return Process([shutil.which("node") or "node", str(_NODE / "server.js")], LISTENING, core)


def socketioxide(core: int) -> Process:
    """socketioxide, built when it is first asked for."""
    return Process([_built_socketioxide()], LISTENING, core)


def bare_send(core: int) -> Process:
    """One send(2) for each recipient, and nothing else."""
    return Process([hangup_load_program(), "peer"], LISTENING, core)


class _RedisBeside(Process):
    """Goes in front of a server, which finds the address in ``REDIS``. Its Redis keeps nothing."""

    def __init__(self, *given: Any, core: int, **named: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:  # Redis takes 0 for no port
            port = free.getsockname()[1]
        words = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._redis = Process(words, r"port=([0-9]+)\.[\s\S]*Ready to accept connections", core)
        super().__init__(*given, core=core, env={"REDIS": f"redis://127.0.0.1:{port}/0"}, **named)

    def __enter__(self) -> Process:
        with contextlib.ExitStack() as kept:
            kept.enter_context(self._redis)
            super().__enter__()
            self._kept = kept.pop_all()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        super().__exit__(kind, value, trace)
        self._kept.close()


class _UvicornAndRedis(_RedisBeside, Process):
    """As it says."""


class _GunicornAndRedis(_RedisBeside, Server):
    """As it says."""


class _Granian(Process):
    """Its log names the port before anybody listens there."""

    def check(self) -> None:
        self.until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@cache
def _built_socketioxide() -> str:
    target = ROOT / "target" / "socketioxide"
    build = ["cargo", "build", "--release", "--quiet", "--locked", "--target-dir", str(target)]
    if shutil.which("cargo") is None:
        raise Unavailable("socketioxide: cargo is not installed")
    try:
        done = subprocess.run(
            build, cwd=_SOCKETIOXIDE, capture_output=True, text=True, timeout=_BUILD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"socketioxide: not built within {_BUILD_SECONDS} s") from None
    if done.returncode:
        raise Unavailable(f"socketioxide cannot be built: {done.stderr[-300:]}")
    return str(target / "release" / "socketioxide-peer")


def _needs(*modules: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise Unavailable(f"pip install {' '.join(missing)}")
