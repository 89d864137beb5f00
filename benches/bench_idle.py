"""What an idle WebSocket of Channels costs its server in memory.

How
    A server is started for each figure, as memory that was freed before would be used again. A few clients come and
    go, so that what is imported and made for the first is there; then all come, and stay until the memory does.
"""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

from . import _peers
from ._load import LoadFailed
from ._machine import cores
from ._process import Process, Unavailable
from ._rows import Bar, Row, compared, paired, skipped

CLIENTS = 1_000
_FIRST = 20
_SPARE_DESCRIPTORS = 100
_PATIENCE = 10.0
_STILL_SECONDS = 1.0
_KIBIBYTE = 1024
_NATIVE = ("--ws", "hangup.uvicorn:WebSocketProtocol")
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Case(NamedTuple):
    """uvicorn's options beside Hangup and the mixin, and what is asked of the ratio to uvicorn alone."""

    options: tuple[str, ...]
    bar: Bar


CASES = {
    "idle-native": Case(_NATIVE, Bar(1.0)),
    "idle-asgi": Case((), Bar(1.0)),
}

THOROUGH = 9  # pairs of servers
QUICK = 2


def measure(name: str, pairs: int, control: bool = False) -> Iterator[Row]:
    """The row of a case: bytes of the server's memory for each idle WebSocket.

    Args:
        name: in ``CASES``.
        pairs: of servers.
        control: compare stock with stock.
    """
    case, title = CASES[name], f"memory of a WebSocket, {name}"
    home, _ = cores()
    stock: Callable[[], Process] = partial(_peers.idle_channels, home, "stock_idle")
    ours: Callable[[], Process] = partial(_peers.idle_channels, home, "hangup_idle", *case.options)
    try:
        runs = tuple(paired(partial(_cost, stock), partial(_cost, stock if control else ours), pairs))
    except (Unavailable, LoadFailed) as problem:
        yield skipped(title, " ".join(str(problem).split()), case.bar)
        return
    yield compared(
        title, "bytes", runs, case.bar, f"{CLIENTS} of them, on uvicorn; private memory of the process"
    )


def _cost(server: Callable[[], Process]) -> float:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < CLIENTS + _SPARE_DESCRIPTORS:
        raise Unavailable(f"{CLIENTS} clients need more descriptors: ulimit -n")
    with server() as process, contextlib.ExitStack() as clients:
        with contextlib.ExitStack() as first:
            for _ in range(_FIRST):
                first.enter_context(_connected(process))
        process.settle()
        before = _still(process)
        for _ in range(CLIENTS):
            clients.enter_context(_connected(process))
        return (_still(process) - before) / CLIENTS


def _connected(process: Process) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", process.port), timeout=_PATIENCE)
    try:
        client.sendall(_UPGRADE)
        answer = client.recv(4096)
    except OSError as error:
        client.close()
        raise LoadFailed(str(error)) from None
    if not answer.startswith(b"HTTP/1.1 101"):
        client.close()
        raise LoadFailed(answer.decode("latin-1"))
    return client


def _still(process: Process) -> int:
    """Its private memory, once that does not change any more."""
    deadline = time.monotonic() + _PATIENCE
    last, since = _private(process), time.monotonic()
    while (now := time.monotonic()) < since + _STILL_SECONDS:
        if now > deadline:
            raise LoadFailed("the server's memory does not come to rest")
        time.sleep(_STILL_SECONDS / 10)
        if (size := _private(process)) != last:
            last, since = size, time.monotonic()
    return last


def _private(process: Process) -> int:
    sizes = Path(f"/proc/{process.pid()}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", sizes, re.M)) * _KIBIBYTE
