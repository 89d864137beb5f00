"""A census of all descriptors, against psutil's ``net_connections()`` and ``open_files()``, in one process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import socket
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from ._rows import Bar, Row, compared, paired, skipped

CASES = ("census",)
QUICK, THOROUGH = 4, 20

_BAR = Bar(1 / 20)
_DESCRIPTORS = 10_000


def measure(_name: str, pairs: int, control: bool) -> Iterator[Row]:
    """A row for connections alone, and one for a mixture.

    Args:
        pairs: of runs.
        control: compare psutil with itself.
    """
    if importlib.util.find_spec("psutil") is None:
        yield skipped("census", "psutil is not installed", _BAR)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < _DESCRIPTORS + 200:
        yield skipped("census", f"the limit of descriptors is {hard}", _BAR)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS + 200, hard))
    try:
        for name, share in (("connections", 1.0), ("mixed", 0.5)):
            with _opened(share):
                stock, ours = _psutil(), _psutil() if control else _census
                yield compared(f"census {name}", "ms", paired(stock, ours, pairs), _BAR, "lower is faster")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def _opened(share: float) -> Iterator[None]:
    """Ten thousand descriptors, of which this share is TCP connections; the rest files and pipes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        for _ in range(int(_DESCRIPTORS * share) // 2):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        for _ in range(int(_DESCRIPTORS * (1 - share)) // 3):
            for number in (os.open(__file__, os.O_RDONLY), *os.pipe()):
                stack.callback(os.close, number)
        yield


def _psutil() -> Any:
    import psutil

    process = psutil.Process()

    def look() -> float:
        begin = perf_counter()
        process.net_connections(kind="all")
        process.open_files()
        return (perf_counter() - begin) * 1e3

    return look


def _census() -> float:
    from hangup import fds

    begin = perf_counter()
    fds.census()
    return (perf_counter() - begin) * 1e3
