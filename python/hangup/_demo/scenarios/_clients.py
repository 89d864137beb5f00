"""The clients of the scenarios: HTTP without hidden reconnects, WebSocket with every byte in sight."""

from __future__ import annotations

import base64
import os
import socket
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from hangup.testing import connect

Address = tuple[str, int]

TEXT = 0x1
CLOSE = 0x8


class Client:
    """One kept-alive HTTP connection; once lost it stays lost. Use as a context manager."""

    def __init__(self, address: Address, *, timeout: float = 5.0) -> None:
        """Describe a connection to ``address``; ``timeout`` is in seconds, for each wait.

        Nothing is sent, and no connection made, before the first `get`.
        """
        self._http = HTTPConnection(*address, timeout=timeout)
        self._lost = False

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()

    def get(self, path: str = "/", *, last: bool = False) -> bytes | None:
        """Send a request and read the answer.

        Args:
            path: What to ask for.
            last: Say "Connection: close".

        Returns:
            The body; None when the connection was lost, timed out or answered anything but 200.
        """
        if self._lost:
            return None
        try:
            if self._http.sock is None:
                self._http.connect()
            self._http.auto_open = 0
            self._http.request("GET", path, headers={"Connection": "close"} if last else {})
            answer = self._http.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            self._lost = True
            self.close()
            return None
        return body if answer.status == 200 else None

    def close(self) -> None:
        """Hang up; harmless when that has happened."""
        self._http.close()


def get_once(address: Address, path: str = "/", *, timeout: float = 5.0) -> bytes | None:
    """Make a connection for one request; returns the body, or None as `Client.get` does."""
    with Client(address, timeout=timeout) as client:
        return client.get(path, last=True)


def latency(address: Address, *, cap: float) -> float:
    """Return the seconds from connecting to the end of the answer; ``cap`` when there was none in time."""
    started = time.perf_counter()
    if get_once(address, timeout=cap) is None:
        return cap
    return min(cap, time.perf_counter() - started)


def request_bytes(path: str, *, close: bool = True) -> bytes:
    """Return a GET request as it goes over the wire."""
    ending = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: demo\r\n{ending}\r\n".encode()


@dataclass(frozen=True)
class Frame:
    """One WebSocket frame."""

    opcode: int
    payload: bytes


class WebSocket:
    """A WebSocket client for short messages.

    Attributes:
        sock: The connection.
        rest: What has arrived and is not part of a frame that was read.
    """

    def __init__(self, address: Address, path: str, *, timeout: float = 5.0) -> None:
        """Connect and shake hands; ``timeout`` is in seconds, for each wait.

        Raises:
            OSError: No connection, or the server did not answer 101.
        """
        self.sock = connect(address, timeout=timeout)
        self.rest = b""
        key = base64.b64encode(os.urandom(16)).decode()
        try:
            self.sock.sendall(
                f"GET {path} HTTP/1.1\r\nHost: demo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            while b"\r\n\r\n" not in self.rest:
                self._more()
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"no upgrade: {head[:60]!r}")
        except OSError:
            self.sock.close()
            raise

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one frame of less than 126 bytes."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.sock.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive(self) -> Frame:
        """Read one frame of less than 126 bytes.

        Raises:
            OSError: The connection ended, or nothing came in time.
        """
        while len(self.rest) < 2 or len(self.rest) < 2 + (self.rest[1] & 0x7F):
            self._more()
        size = self.rest[1] & 0x7F
        frame = Frame(self.rest[0] & 0x0F, self.rest[2 : 2 + size])
        self.rest = self.rest[2 + size :]
        return frame

    def read_to_end(self) -> bytes:
        """Return everything up to the end of the connection, or until nothing more comes in time."""
        try:
            while True:
                self._more()
        except OSError:
            return self.rest

    def close(self) -> None:
        """Hang up without a word."""
        self.sock.close()

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout as late:
            raise ConnectionError("nothing came in time") from late
        if not data:
            raise ConnectionError("the server ended the connection")
        self.rest += data
