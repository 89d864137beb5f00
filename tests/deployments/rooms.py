"""People in rooms, over Socket.IO on a WebSocket, who come together, stay together, and hear each other.

Promised: nobody leaves before everybody has come or failed to, so that "ten at once" are ten at once. One thread each.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict
from typing import Any

import websocket
from hangup.testing import reset

from .clients import Address, Refused

PATH = "/socket.io/?EIO=4&transport=websocket"


class Participant:
    """A client that is connected to the default namespace; use as a context manager.

    Args:
        address: of the service.
        patience: seconds, for each answer.
        source: its own address.

    Raises:
        Refused: the handshake was answered with something else.
        OSError, websocket.WebSocketException: the service does not take part.
    """

    def __init__(self, address: Address, *, patience: float, source: str = "127.0.0.1") -> None:
        self._heard: list[list[Any]] = []
        self._asked = 0
        sock = socket.create_connection(address, timeout=patience, source_address=(source, 0))
        try:
            self._client = websocket.create_connection(
                f"ws://{address[0]}:{address[1]}{PATH}", timeout=patience, socket=sock, suppress_origin=True
            )
            self._patience = patience
            self._until("0")
            self._client.send("40")
            self._until("40")
        except websocket.WebSocketBadStatusException as refused:
            sock.close()
            raise Refused(f"the handshake: {refused.status_code}") from refused
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Participant:
        """Connected already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves as a page does that is closed."""
        self._client.close(timeout=1)

    def vanish(self) -> None:
        """The connection is reset."""
        reset(self._client.sock)

    def is_left(self) -> bool:
        """Whether the service has closed the connection, without asking it anything."""
        self._client.sock.setblocking(False)
        try:
            while self._client.sock.recv(65_536):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True

    def emit(self, event: str, *args: Any) -> None:
        """Without an answer."""
        self._client.send("42" + json.dumps([event, *args]))

    def call(self, event: str, *args: Any) -> Any:
        """The handler's answer."""
        self._asked += 1
        self._client.send(f"42{self._asked}" + json.dumps([event, *args]))
        answered = json.loads(self._until(f"43{self._asked}["))
        return answered[0] if answered else None

    def hear(self, event: str) -> Any:
        """The first argument of the next ``event``."""
        while True:
            for at, (name, *args) in enumerate(self._heard):
                if name == event:
                    del self._heard[at]
                    return args[0] if args else None
            self._heard.append(json.loads(self._until("42[")))

    def stay(self, seconds: float) -> None:
        """Answers pings, and is here."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._client.settimeout(left)
            try:
                self._until("nothing", left)
            except websocket.WebSocketTimeoutException:
                break
        self._client.settimeout(self._patience)

    def _until(self, beginning: str, seconds: float | None = None) -> str:
        """The next packet with this beginning, from its last character on; events meanwhile are kept."""
        deadline = time.monotonic() + (seconds or self._patience)
        while time.monotonic() < deadline:
            packet = self._client.recv()
            if packet == "2":
                self._client.send("3")
            elif not packet:
                raise Refused("the connection was closed")
            elif packet.startswith(beginning):
                return str(packet[len(beginning) - 1 :])
            elif packet.startswith("42["):
                self._heard.append(json.loads(packet[2:]))
        raise websocket.WebSocketTimeoutException(f"no {beginning!r}")


class Gathering:
    """Comes to rooms of ten, posts there, and leaves when everybody has heard everybody.

    Attributes:
        workers: of each room, those whose participants were in it.
    """

    def __init__(self, address: Address, count: int, *, patience: float, rooms: str = "") -> None:
        self._address = address
        self._patience = patience
        self._rooms = rooms
        self._lock = threading.Lock()
        self._here: dict[str, set[str]] = defaultdict(set)
        self._all_came, self._all_heard = _Latch(count), _Latch(count)
        self.workers: dict[str, set[int]] = defaultdict(set)

    def take_part(self, number: int) -> None:
        """As one of them."""
        try:
            self._come(number)
        finally:
            self._all_came.arrive(number)
            self._all_heard.arrive(number)

    def _come(self, number: int) -> None:
        name, room = f"participant {number}", f"{self._rooms} room {number // 10}"
        source = f"127.0.1.{number % 250 + 1}"
        with Participant(self._address, patience=self._patience, source=source) as one:
            worker = one.call("join", room)["worker"]
            with self._lock:
                self.workers[room].add(worker)
                self._here[room].add(name)
            self._all_came.arrive(number)
            self._all_came.wait(2 * self._patience)
            one.emit("post", {"room": room, "by": name, "text": "here I am"})
            missing = set(self._here[room])
            while missing:
                missing.discard(one.hear("post")["by"])
            self._all_heard.arrive(number)
            self._all_heard.wait(2 * self._patience)


class _Latch:
    """Opens when so many have arrived."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._arrived: set[int] = set()
        self._open = threading.Event()
        self._lock = threading.Lock()

    def arrive(self, number: int) -> None:
        with self._lock:
            self._arrived.add(number)
            if len(self._arrived) >= self._count:
                self._open.set()

    def wait(self, seconds: float) -> None:
        self._open.wait(seconds)
