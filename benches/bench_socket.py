"""Single calls of ``SafeSocket`` and of ``socket.socket``, in one process, on one core."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from collections.abc import Iterator
from itertools import repeat
from time import perf_counter_ns
from typing import Any, Callable, NamedTuple, Optional

import hangup

from ._machine import cores
from ._rows import Bar, Row, compared, paired

_SMALL = b"x" * 64
_LARGE = b"x" * 65536
_BUFFER = 1 << 20  # bytes asked of the kernel for each direction, so that a block fits


class Case(NamedTuple):
    """One call.

    Attributes:
        operation: "send", "recv" or "sendall".
        data: what one call moves.
        calls: of a block, few enough to fit into the kernel's buffers.
    """

    operation: str
    data: bytes
    calls: int
    family: str
    bar: Optional[Bar]


CASES = {
    "send-tcp": Case("send", _SMALL, 200, "TCP", Bar(1.15)),
    "send-unix": Case("send", _SMALL, 100, "Unix", None),
    "recv-tcp": Case("recv", _SMALL, 200, "TCP", None),
    "sendall-tcp": Case("sendall", _LARGE, 1, "TCP", None),
}

THOROUGH = 1000  # pairs of blocks
QUICK = 200


def measure(name: str, pairs: int, control: bool = False) -> Iterator[Row]:
    """The row of a case: the time of one call.

    Args:
        name: in ``CASES``.
        pairs: of blocks.
        control: compare ``socket.socket`` with itself.
    """
    case = CASES[name]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    gc.disable()  # a collection in the middle of a block is nobody's cost
    try:
        with contextlib.ExitStack() as opened:
            stock, ours = (
                _block(case, *_connected(case.family, guarded, opened)) for guarded in (False, not control)
            )
            for warm_up in (stock, ours):
                for _ in range(20):
                    warm_up()
            runs = list(paired(stock, ours, pairs))
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)
    title = f"{case.operation} {len(case.data)} B, {case.family}"
    yield compared(title, "ns", runs, case.bar, "stock against stock" if control else "")


def _connected(family: str, guarded: bool, opened: contextlib.ExitStack) -> tuple[Any, socket.socket]:
    if family == "Unix":
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
        for end in (ours, peer):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for end in (ours, peer):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    opened.enter_context(peer)
    return opened.enter_context(hangup.SafeSocket(ours) if guarded else ours), peer


def _block(case: Case, ours: Any, peer: socket.socket) -> Callable[[], float]:
    """What runs a block of calls, and returns the nanoseconds of one."""
    call = getattr(ours, case.operation)
    argument: Any = len(case.data) if case.operation == "recv" else case.data
    size, calls = len(case.data) * case.calls, case.calls

    def run() -> float:
        if case.operation == "recv":
            peer.sendall(case.data * calls)
        begin = perf_counter_ns()
        for _ in repeat(None, calls):
            call(argument)
        took = perf_counter_ns() - begin
        if case.operation != "recv":
            drain(peer, size)
        return took / calls

    return run


def drain(peer: socket.socket, size: int) -> None:
    """Receives ``size`` bytes."""
    while size > 0:
        size -= len(peer.recv(size))
