"""A gunicorn under ``hangup watch``, and the healthy client beside it, for the fault drills."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from hangup._demo.server import MissingGunicorn, gunicorn_home, wait_until
from hangup._watch import processes

APP = """
import base64, ctypes, hashlib, os, socket
from urllib.parse import parse_qs

if os.environ.get("CRASHES_AT_BOOT"):
    raise RuntimeError("this application does not boot")

kept = []

def app(environ, start_response):
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    path, status = environ["PATH_INFO"], "200 OK"
    if path == "/ws":
        return echo(environ)
    if str(os.getpid()) != asked.get("not"):
        if path == "/hang":
            mutex, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)  # for ever, with the interpreter's lock: nothing of Python runs any more
        if path == "/leak":
            kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(int(asked["n"])))
    if path == "/":
        status = needs()
    body = str(os.getpid()).encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]

def needs():
    if os.environ.get("WRITES_TO"):
        try:
            with open(os.environ["WRITES_TO"], "ab", buffering=0) as file:
                file.write(b"x" * 512)
        except OSError:
            return "500 Internal Server Error"
    if os.environ.get("REDIS_URL"):
        host, _, port = os.environ["REDIS_URL"].rpartition("/")[2].partition(":")
        try:
            with socket.create_connection((host, int(port)), 2) as redis:
                redis.sendall(b"PING\\r\\n")
                assert redis.recv(100).startswith(b"+PONG")
        except OSError:
            return "503 Service Unavailable"
    return "200 OK"

def echo(environ):
    client = environ["gunicorn.socket"]
    key = environ["HTTP_SEC_WEBSOCKET_KEY"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    client.sendall(("HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                    f"Sec-WebSocket-Accept: {accept}\\r\\nPid: {os.getpid()}\\r\\n\\r\\n").encode())
    client.settimeout(60)
    while True:
        received = client.recv(4096)  # one small frame, masked with zeros
        if not received or received[0] & 15 == 8:
            raise StopIteration
        opcode = 10 if received[0] & 15 == 9 else received[0] & 15
        client.sendall(bytes([128 | opcode, received[1] & 127]) + received[6:])
"""

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

QUICK = ("--interval", "0.3", "--timeout", "2", "--websocket", "off")


class Watched:
    """``hangup watch`` in a process of its own, and what it said."""

    def __init__(self, directory: Path, words: list[str], env: dict[str, str], version: str) -> None:
        try:
            home = gunicorn_home(version)
        except MissingGunicorn as absent:
            pytest.skip(str(absent))
        if version.startswith("27") and sys.version_info < (3, 10):
            pytest.skip("gunicorn 27 needs Python 3.10")
        self.output = directory / "decisions"
        self.log = directory / "gunicorn.log"
        kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "PORT")}
        environment = {
            **kept, "PYTHONPATH": os.pathsep.join([str(home), str(directory)]), "HOME": str(directory),
            "PYTHONUNBUFFERED": "1", **env,
        }  # fmt: skip
        code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
        with self.output.open("ab") as output, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "watch", "-f", "json", *words],
                cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=log,
            )  # fmt: skip

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """What was said so far, a gunicorn's own lines left out."""
        found = []
        for line in self.output.read_text().splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return [told for told in found if not kinds or told["event"] in kinds]

    def wait(self, kind: str, seconds: float = 30.0, text: str = "") -> dict[str, Any]:
        """The first event of a kind whose reasons have ``text``."""

        def matching() -> list[dict[str, Any]]:
            return [told for told in self.events(kind) if text in " ".join(told["reasons"])]

        assert wait_until(lambda: bool(matching()) or self.process.poll() is not None, seconds), self.said
        assert matching(), self.said
        return matching()[0]

    @property
    def said(self) -> str:
        return self.output.read_text() + self.log.read_text()

    @property
    def remedies(self) -> list[str]:
        return [told["remedy"] for told in self.events("act")]

    @property
    def master(self) -> int:
        """The number of the gunicorn's master, as soon as it is known."""
        self.wait("note", text="watching process ")
        told = [told for told in self.events("note") if told["reasons"][0].startswith("watching process ")]
        return int(told[-1]["reasons"][0].rpartition(" ")[2])

    def workers(self) -> list[int]:
        return [one.pid for one in processes.children(self.master)]

    def end(self) -> int:
        """As systemd does it."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(self.said) from None


@contextlib.contextmanager
def watch(directory: Path, *words: str, version: str = "27.0.1", **env: str) -> Iterator[Watched]:
    """A watch with these words."""
    watched = Watched(directory, list(words), env, version)
    try:
        yield watched
    finally:
        watched.end()


@contextlib.contextmanager
def service(
    directory: Path, *gunicorn: str, options: tuple[str, ...] = (), port: int = 0, limit: int = 0, **more: str
) -> Iterator[tuple[Watched, int]]:
    """A watch with its own gunicorn, and the port at which that answers."""
    (directory / "served.py").write_text(APP)
    port = port or free_port()
    words = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--error-logfile", str(directory / "errors"),
             "--graceful-timeout", "5", *gunicorn, "served:app"]  # fmt: skip
    if limit:
        words = ["prlimit", f"--nofile={limit}", *words]
    state = ("--state", str(directory / "state.json"))
    with watch(directory, *QUICK, *state, *options, "--", *words, **more) as watched:
        yield watched, port


def config(directory: Path, **settings: object) -> Path:
    """A TOML file with these settings."""
    path = directory / "watch.toml"
    path.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    return path


def free_port() -> int:
    """A port at which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str = "/", timeout: float = 3.0) -> Optional[bytes]:
    """The body of an answer; None: there is none in time."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as client:
            client.settimeout(timeout)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while more := client.recv(4096):
                answer += more
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else None


class Client(threading.Thread):
    """A healthy client: it echoes without a pause, and counts how often that was interrupted."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(10)
        self.socket.sendall(UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.socket.recv(4096)
            assert more, head
            head += more
        self.worker = int(head.partition(b"Pid: ")[2].split()[0])
        self.echoes = self.disconnects = 0
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                self.socket.sendall(b"\x81\x84\0\0\0\0" + b"ping")
                answer = self.socket.recv(100)
            except OSError:
                answer = b""
            if answer != b"\x81\x04ping":
                self.disconnects += 1
                return
            self.echoes += 1

    def end(self) -> None:
        self._ended.set()
        self.join()
        self.socket.close()


@contextlib.contextmanager
def healthy_client(port: int) -> Iterator[Client]:
    """One that is connected, from the first moment at which that is possible."""
    assert wait_until(lambda: get(port) is not None, 30, every=0.1)
    client = Client(port)
    try:
        yield client
    finally:
        client.end()


def strike(port: int, path: str, spare: int, is_struck: Any) -> None:
    """Sends a request that harms any worker but one, until one is harmed."""
    end = time.monotonic() + 20
    while not is_struck(get(port, f"{path}not={spare}", timeout=1.0)):
        assert time.monotonic() < end
