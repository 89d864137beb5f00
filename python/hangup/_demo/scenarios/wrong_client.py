"""Row 1: a stalled download, a watchdog that hangs up on it, and the next client.

CPython's ``socket.sendfile`` looks the descriptor number up once. While it waits for a stalled client another
thread closes the socket, the next client is accepted under the same number, the first one reads on, and the
loop
continues: into the second client's connection.
"""

from __future__ import annotations

import socket
from pathlib import Path

from hangup._demo.scenarios._clients import get_once, request_bytes
from hangup._demo.scenarios._measure import Clock, Measurement, ownership_violations
from hangup._demo.server import Server, Stack
from hangup.testing import StalledReader, connect

_BLOCK = 64
_DOWNLOAD_BYTES = 16 << 20
_PAGE = b"this page is for the second client\n" * 500
# The download is the only thing here whose bytes have the high bit set: it is recognised whatever surrounds
# it.
_ASCII = bytes(range(128))
_FOREIGN_WITHIN_SECONDS = 0.5
_ANSWER_WITHIN_SECONDS = 5.0


def measure(stack: Stack, rounds: int = 1) -> Measurement:
    """Count foreign_bytes in ``rounds`` rounds.

    dropped_innocents counts the second clients that got anything but exactly their page.
    """
    clock = Clock("wrong-client", stack, rounds)
    foreign = wrong = 0
    with Server(stack.with_("--timeout", "60", "--graceful-timeout", "1"), "app_download") as server:
        _write_files(server.directory)
        for _ in range(rounds):
            received = _round(server)
            mine = received.translate(None, delete=bytes(range(128, 256)))
            foreign += len(received) - len(mine)
            _, _, body = mine.partition(b"\r\n\r\n")
            wrong += received != mine or body != _PAGE
        violations = ownership_violations(server)
        extra = {} if violations is None else {"ownership_violations": violations}
        return clock.read(server, foreign_bytes=foreign, dropped_innocents=wrong, extra=extra)


def _write_files(directory: Path) -> None:
    with (directory / "download").open("wb") as file:
        for offset in range(0, _DOWNLOAD_BYTES, _BLOCK):
            label = f"A:{offset:012d}:".encode().ljust(_BLOCK, b".")
            file.write(bytes(byte | 0x80 for byte in label))
    (directory / "page").write_bytes(_PAGE)


def _round(server: Server) -> bytes:
    """Return everything that the second client received."""
    with StalledReader(server.address) as first:
        first.sock.sendall(request_bytes("/file"))
        first.wait_stalled()
        get_once(server.address, "/hang-up")
        with connect(server.address, timeout=_FOREIGN_WITHIN_SECONDS) as second:
            request = request_bytes("/page")
            # A request in two pieces keeps the second connection open while the first client reads on.
            second.sendall(request[:20])
            first.sock.settimeout(_ANSWER_WITHIN_SECONDS)
            first.drain()
            received = _read(second)
            second.settimeout(_ANSWER_WITHIN_SECONDS)
            try:
                second.sendall(request[20:])
            except OSError:
                return received
            return received + _read(second)


def _read(sock: socket.socket) -> bytes:
    """Return what arrives until the end of the connection or until nothing comes for the socket's timeout."""
    pieces = []
    while True:
        try:
            data = sock.recv(1 << 16)
        except OSError:
            break
        if not data:
            break
        pieces.append(data)
    return b"".join(pieces)
