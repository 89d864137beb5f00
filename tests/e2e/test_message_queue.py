"""Native emits behind a message queue: two servers, a real Redis, and what the clients of both hear."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emit_app import GEVENT, GTHREAD, STOCK, Service, ids, serve
from hangup._demo.server import wait_until


class Redis:
    """A Redis of its own. It keeps nothing."""

    def __init__(self, directory: Path) -> None:
        pytest.importorskip("redis")
        self._program = shutil.which("redis-server") or pytest.skip("redis-server is not installed")
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        options = {"bind": "127.0.0.1", "port": str(self._port), "save": "", "appendonly": "no"}
        self._process = subprocess.Popen(
            [self._program, *(word for name, value in options.items() for word in (f"--{name}", value))],
            cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert wait_until(lambda: self.listeners() >= 0, 10)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def listeners(self) -> int:
        """Processes that wait for emits."""
        import redis

        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            try:
                # the channels of python-socketio and of Flask-SocketIO
                return sum(count for _, count in client.pubsub_numsub("socketio", "flask-socketio"))
            except redis.ConnectionError:
                return -1


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.kill()


@contextlib.contextmanager
def serve_two(directory: Path, redis: Redis, *stacks: Any, manager: str = "") -> Iterator[list[Service]]:
    """Services that share a Redis: by ``message_queue=`` of an unchanged application, or by their manager."""
    env = {"OPTIONS": json.dumps({"message_queue": redis.url})}
    if manager:
        env = {"MANAGER": json.dumps([manager, {"url": redis.url}])}
    with contextlib.ExitStack() as kept:
        services = []
        for number, stack in enumerate(stacks):
            own = directory / str(number)
            own.mkdir()
            services.append(kept.enter_context(serve(own, stack, **env)))
            services[-1].client("polling").socket.disconnect()  # it listens from its first client on
        assert wait_until(lambda: redis.listeners() == len(stacks), 20)
        yield services


@pytest.mark.parametrize("manager", ["", "NativeRedisManager"], ids=["message_queue", "NativeRedisManager"])
@pytest.mark.parametrize(
    "stacks",
    [(GTHREAD, GTHREAD), (GEVENT, GTHREAD), (STOCK, GTHREAD)],
    ids=lambda pair: "+".join(map(ids, pair)),
)
def test_an_emit_reaches_the_clients_of_both(tmp_path: Path, redis: Redis, stacks: Any, manager: str) -> None:
    """Rooms, binary, one client of the other, in order, both ways; also to and from a stock process."""
    if manager and STOCK in stacks:
        pytest.skip("a stock process has a stock manager")
    with serve_two(tmp_path, redis, *stacks, manager=manager) as services:
        assert services[1].run("result = type(server.manager).__name__") == "NativeRedisManager"
        clients = [service.client(kind) for service in services for kind in ("websocket", "polling")]
        for client in clients[1:3]:
            client.call("join", "red")
        code = """
for number in range(100):
    socketio.emit('news', number)
    socketio.emit('red', {'number': number, 'data': [b'1', b'2']}, to='red')
    socketio.emit('own', number, to=sid, skip_sid=other)
socketio.emit('end')
"""
        for here, other in [(0, 3), (1, 0)]:
            services[here].run(code, sid=clients[other].sid, other=clients[1].sid)
            assert all(service.everybody_has(clients, "end", 1) for service in services)
            for number, client in enumerate(clients):
                assert client.values("news") == list(range(100))
                red = [{"number": one, "data": [b"1", b"2"]} for one in range(100)]
                assert client.values("red") == (red if number in (1, 2) else [])
                assert client.values("own") == (list(range(100)) if number == other else [])
                client.heard.clear()
        fates = services[1].run("result = safe_emit('news', 1)")
        assert fates == [0, 2, 0, 0]  # of this process
        assert services[1].everybody_has(clients, "news", 1)
        for service in services:
            assert "Traceback" not in service.server.log


@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=ids)
def test_redis_ends_and_comes_back(tmp_path: Path, redis: Redis, stack: Any) -> None:
    """Local clients notice nothing; those of the other process hear again without a restart of anybody."""
    with serve_two(tmp_path, redis, stack, stack) as services:
        here, there = (service.client() for service in services)
        pids = [service.server.ask()["pid"] for service in services]
        services[0].run("socketio.emit('news', 0)")
        assert services[0].everybody_has([here, there], "news", 1)
        redis.kill()
        services[0].run("for number in range(1, 20): socketio.emit('news', number)")
        assert services[0].everybody_has([here], "news", 20)
        assert here.values("news") == list(range(20))
        redis.start()
        assert wait_until(lambda: redis.listeners() == 2, 30)
        services[0].run("socketio.emit('news', 20)")
        services[1].run("socketio.emit('back', 1)")
        assert services[0].everybody_has([here, there], "back", 1)
        assert wait_until(lambda: there.values("news")[-1] == 20, 10)
        assert here.values("news") == list(range(21))
        assert pids == [service.server.ask()["pid"] for service in services]


def test_managers_of_other_queues() -> None:
    """They are python-socketio's with a native manager behind; without a client library they say what it is."""
    import hangup.flask_socketio as native

    socketio = pytest.importorskip("socketio")
    for name in ("Kafka", "Kombu", "Redis", "Zmq"):
        manager = getattr(native, f"Native{name}Manager")
        assert issubclass(manager, getattr(socketio, f"{name}Manager"))
        assert issubclass(manager, native.NativeManager)
        assert manager.emit is not native.NativeManager.emit
        after = manager.__mro__[manager.__mro__.index(socketio.PubSubManager) + 1 :]
        assert after[0] is native.NativeManager, "what a queue delivers goes to the native manager"


@pytest.mark.filterwarnings("ignore")  # the one for ZeroMQ imports eventlet
@pytest.mark.parametrize(
    ("name", "library", "words"), [("Kafka", "kafka", "[kK]afka"), ("Zmq", "zmq", "zmq")]
)
def test_a_missing_client_library_is_named(name: str, library: str, words: str) -> None:
    import hangup.flask_socketio as native

    pytest.importorskip("socketio")
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed")
    with pytest.raises(RuntimeError, match=words):
        getattr(native, f"Native{name}Manager")()


def test_a_kombu_manager_in_memory() -> None:
    """It can be made, with a policy of its own."""
    pytest.importorskip("kombu")
    pytest.importorskip("socketio")
    from hangup.flask_socketio import NativeKombuManager

    manager = NativeKombuManager("memory://", policy="drop_newest", budget=1000)
    assert manager.slow_clients == ("drop_newest", 1000)
    with pytest.raises(ValueError, match="policy must be"):
        NativeKombuManager("memory://", policy="perhaps")
