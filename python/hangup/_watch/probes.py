"""Asks the service as a client does. Each probe ends by its deadline, whatever it is answered."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

from .. import __version__, _hangup
from .signals import Probe
from .sockets import Address

ENGINE_IO = "/socket.io/?EIO=4&transport=websocket"

#: RFC 6585 section 4.
_TOO_MANY = 429
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
_MOST_READ = 1 << 16
_PING, _PONG, _CLOSE = 0x9, 0xA, 0x8
_PAYLOAD = b"hangup watch"


class Where(NamedTuple):
    """What to ask.

    Attributes:
        address: where to connect.
        path: what for.
        host: the header ``Host``.
        is_tls: speaks TLS; the certificate is not verified, for it names somebody else than the loopback.
    """

    address: Address
    path: str = "/"
    host: str = "localhost"
    is_tls: bool = False


def where(url: str, host: str = "") -> Where:
    """What an ``http``, ``https`` or ``http+unix`` URL means.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "http+unix" and parts.hostname:
        from urllib.parse import unquote

        return Where(unquote(parts.netloc), path, host or "localhost")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of http, https or http+unix")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Where(
        (parts.hostname, port), path, host or parts.netloc.rpartition("@")[2], parts.scheme == "https"
    )


def http(place: Where, timeout: float) -> Probe:
    """A GET. Any answer but a 5xx is a good one."""
    return _probe("http", lambda client: _get(client, place), place, timeout)


def websocket(place: Where, timeout: float) -> Probe:
    """An upgrade, a ping and its pong; a Socket.IO server sees a transport that is opened, and no client."""
    return _probe("websocket", lambda client: _echo(client, place), place, timeout)


class _Client:
    """A connection on which everything together takes no longer than the deadline."""

    def __init__(self, place: Where, deadline: float) -> None:
        self._deadline = deadline
        if isinstance(place.address, str):
            self._socket = socket.socket(socket.AF_UNIX)
            self._within(lambda: self._socket.connect(place.address))
        else:
            self._socket = socket.create_connection(place.address, self._left())
        if place.is_tls:
            self._within(lambda: self._wrap(place))

    def _wrap(self, place: Where) -> None:
        context = ssl._create_unverified_context()  # the documented way not to verify (PEP 476)
        self._socket = context.wrap_socket(self._socket, server_hostname=place.host.partition(":")[0])

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def _within(self, step: Callable[[], object]) -> None:
        try:
            self._socket.settimeout(self._left())
            step()
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def receive(self) -> bytes:
        self._socket.settimeout(self._left())
        return self._socket.recv(_MOST_READ)

    def close(self) -> None:
        self._socket.close()


def _probe(name: str, ask: Callable[[_Client], tuple[str, str]], place: Where, timeout: float) -> Probe:
    began = time.monotonic()
    try:
        client = _Client(place, began + timeout)
        try:
            outcome, detail = ask(client)
        finally:
            client.close()
    except socket.timeout:
        outcome, detail = "unanswered", f"no answer within {timeout:g} s"
    except OSError as error:
        outcome, detail = "unanswered", error.strerror or str(error)
    return Probe(name, outcome, detail, time.monotonic() - began)


def _request(place: Where, *headers: str) -> bytes:
    lines = [f"GET {place.path} HTTP/1.1", f"Host: {place.host}", f"User-Agent: hangup-watch/{__version__}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _get(client: _Client, place: Where) -> tuple[str, str]:
    client.send(_request(place, "Connection: close", "Accept: */*"))
    answer, status = _head(client)
    if status is None:
        return "unanswered", "closed without an answer" if not answer else "not an answer of HTTP"
    return ("failing" if status >= 500 else "ok"), f"{status} from {place.path}"


def _head(client: _Client) -> tuple[bytes, Optional[int]]:
    """What came up to the end of the headers, and the status, if it is an answer at all."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MOST_READ:
        more = client.receive()
        if not more:
            break
        answer += more
    found = _STATUS.match(answer)
    return answer, int(found.group(1)) if found else None


def _echo(client: _Client, place: Where) -> tuple[str, str]:
    key = base64.b64encode(os.urandom(16)).decode()
    client.send(
        _request(place, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {key}")
    )  # fmt: skip
    answer, status = _head(client)
    if status == _TOO_MANY:
        return "ok", f"{status}: a limit of the service answers"
    if status != 101:
        what = "closed without an answer" if not answer else f"{status} instead of 101"
        return ("failing" if status is not None else "unanswered"), what
    head, _, rest = answer.partition(b"\r\n\r\n")
    if _hangup.accept_key(key).encode() not in head:
        return "failing", "101 with a wrong Sec-WebSocket-Accept"
    client.send(_frame(_PING, _PAYLOAD))
    outcome = _until_pong(client, rest)
    client.send(_frame(_CLOSE, struct.pack("!H", 1000)))
    return outcome


def _until_pong(client: _Client, received: bytes) -> tuple[str, str]:
    while len(received) < _MOST_READ:
        found = _first_frame(received)
        if found is None:
            more = client.receive()
            if not more:
                return "unanswered", "closed instead of a pong"
            received += more
            continue
        opcode, payload, received = found
        if opcode == _PONG and payload == _PAYLOAD:
            return "ok", "pong"
        if opcode == _CLOSE:
            return "unanswered", "closed instead of a pong"
    return "unanswered", "much, and no pong"


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def _first_frame(received: bytes) -> Optional[tuple[int, bytes, bytes]]:
    """Opcode, payload and what is behind; None: not all of it is there."""
    if len(received) < 2:
        return None
    start, length = 2, received[1] & 0x7F
    if length >= 126:
        width = 2 if length == 126 else 8
        start += width
        if len(received) < start:
            return None
        length = int.from_bytes(received[2:start], "big")
    if len(received) < start + length:
        return None
    return received[0] & 0x0F, received[start : start + length], received[start + length :]
