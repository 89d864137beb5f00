"""Clients of the deployments: many at a time, and Engine.IO's polling by hand, for those that leave abruptly.

Promised: a conversation that fails is a result, not an end of the run. Abrupt leaving is `hangup.testing`'s.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any

import websocket
from hangup.testing import connect, reset

Address = tuple[str, int]


class Refused(RuntimeError):
    """The service answered something else than it should have."""


def together(
    conversation: Callable[[int], object], count: int, at_once: int | None = None
) -> list[BaseException | None]:
    """Has ``count`` conversations, ``at_once`` at a time (None: all).

    Returns:
        None for each that succeeded, its failure for each other.
    """
    start = threading.Barrier(min(count, at_once or count), timeout=60)

    def attempt(number: int) -> BaseException | None:
        if at_once is None:
            start.wait()
        try:
            conversation(number)
        except Exception as failure:  # whatever a client library raises is this conversation's result
            return failure
        return None

    with ThreadPoolExecutor(at_once or count) as pool:
        return list(pool.map(attempt, range(count)))


def get(address: Address, path: str, *, timeout: float = 10, **headers: str) -> bytes:
    """The body of a 200.

    Raises:
        Refused: another status, or no answer.
    """
    return ask(address, "GET", path, timeout=timeout, expected=200, **headers)


def ask(
    address: Address, method: str, path: str, body: bytes | None = None, *,
    timeout: float = 10, expected: int | None = None, **headers: str,
) -> bytes:  # fmt: skip
    """The body of an answer.

    Raises:
        Refused: another status than ``expected``, or no answer.
    """
    connection = HTTPConnection(*address, timeout=timeout)
    try:
        connection.request(method, path, body, {"Connection": "close", **headers})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, HTTPException) as failure:
        raise Refused(f"{method} {path.partition('?')[0]}: {failure!r}") from failure
    finally:
        connection.close()
    if expected is not None and answer.status != expected:
        raise Refused(f"{method} {path.partition('?')[0]}: {answer.status} {answer.reason}")
    return text


def open_websocket(address: Address, *, timeout: float = 10, auth: object = None) -> websocket.WebSocket:
    """A Socket.IO client that is connected to the default namespace, by a WebSocket alone, packet by packet.

    Raises:
        Refused: the service does not take part.
    """
    url = f"ws://{address[0]}:{address[1]}/socket.io/?EIO=4&transport=websocket"
    client = websocket.create_connection(url, timeout=timeout)
    client.recv()
    client.send(_connect_packet(auth))
    while not (answer := str(client.recv())).startswith("40"):  # events of its connect handler may come first
        if not answer.startswith("42"):
            client.shutdown()
            raise Refused(f"CONNECT: {answer!r}")
    return client


def _connect_packet(auth: object) -> str:
    return "40" if auth is None else "40" + json.dumps(auth)


class Poller:
    """A Socket.IO client that polls, packet by packet.

    Attributes:
        sid: Engine.IO's name of the session.
    """

    def __init__(self, address: Address, *, timeout: float = 10, auth: object = None) -> None:
        """Opens a session and connects to the default namespace.

        Raises:
            Refused: the service does not take part.
        """
        self._address = address
        self._timeout = timeout
        self._query = "/socket.io/?EIO=4&transport=polling"
        opened: dict[str, Any] = json.loads(
            ask(address, "GET", self._query, timeout=timeout, expected=200)[1:]
        )
        self.sid = opened["sid"]
        self._query += f"&sid={self.sid}"
        self.send(_connect_packet(auth))
        self.poll()

    def send(self, packet: str, expected: int | None = 200) -> None:
        """Posts a packet, such as ``42["order",{}]``; ``1`` is the one of a page that is closed.

        Raises:
            Refused: another status than ``expected``, or no answer.
        """
        ask(self._address, "POST", self._query, packet.encode(), timeout=self._timeout, expected=expected)

    def poll(self, expected: int | None = 200) -> str:
        """What the service has to say, as soon as it has.

        Raises:
            Refused: another status than ``expected``, or no answer.
        """
        return ask(self._address, "GET", self._query, timeout=self._timeout, expected=expected).decode()

    @contextlib.contextmanager
    def polling(self) -> Iterator[socket.socket]:
        """A poll that is on its way; the connection is reset in the end."""
        sock = connect(self._address, timeout=self._timeout)
        try:
            sock.sendall(f"GET {self._query} HTTP/1.1\r\nHost: {self._address[0]}\r\n\r\n".encode())
            yield sock
        finally:
            reset(sock)
