"""What every test gets: a census of descriptors around it, and sockets that are closed after it."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hangup
import pytest
from hangup import SafeSocket
from hangup.testing import Census, connect, fd_census, half_close


@pytest.fixture(scope="session", autouse=True)
def opened_for_good() -> None:
    """Opens what a process opens once and keeps: the engine's epoll and eventfd, and that of the diagnostics."""
    from hangup import _diagnostics, _hangup

    _diagnostics.listen()
    with socket.create_server(("127.0.0.1", 0)) as server, connect(server.getsockname()) as client:
        accepted, _ = server.accept()
        guarded = _hangup.Socket(accepted.detach(), "server", False)
        guarded.shutdown(socket.SHUT_WR)
        guarded._close()  # lingers, because the client is still there: on the engine
        half_close(client)
        assert _hangup.drain(5.0) == 0


@pytest.fixture(autouse=True)
def census(opened_for_good: None) -> Iterator[None]:
    """Fails the test that leaves a descriptor behind, and names it."""
    before = fd_census()
    yield
    left = _left(before)
    assert not left, f"descriptors left open: {dict(left)}"


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    """What a test installs, importing :mod:`hangup.gunicorn` among it, is not there for the next."""
    yield
    hangup.uninstall()


def _left(before: Census) -> Census:
    gc.collect()
    return (fd_census() - before).opened


@pytest.fixture
def pair() -> Iterator[tuple[SafeSocket, socket.socket]]:
    """A guarded socket and its stock peer, over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    guarded = SafeSocket(ours)
    with contextlib.closing(guarded), theirs:
        yield guarded, theirs


class Running(threading.Thread):
    """A thread whose result or exception is asked for."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = function, args
        self._outcome: Any = None
        self._failed = False
        self.start()

    def run(self) -> None:
        function, args = self._call
        try:
            self._outcome = function(*args)
        except BaseException as error:
            self._outcome, self._failed = error, True

    def outcome(self, within: float = 10.0) -> Any:
        """What the function returned or raised; fails if it has not ended ``within`` seconds."""
        self.join(within)
        assert not self.is_alive(), "still running"
        if self._failed:
            raise self._outcome
        return self._outcome

    def wait_blocked(self, within: float = 10.0) -> None:
        """Waits until the thread sleeps in the kernel: its state in /proc is S, twice, without running between."""
        from hangup._demo.server import wait_until

        def switches() -> tuple[str, int]:
            with open(f"/proc/self/task/{self.native_id}/status") as status:
                fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
            return fields["State"][0], int(fields["voluntary_ctxt_switches"])

        seen: list[tuple[str, int]] = []

        def asleep() -> bool:
            seen.append(switches())
            return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3] and seen[-1][0] == "S"

        assert wait_until(asleep, within)


@pytest.fixture
def running() -> type[Running]:
    """Starts a function on a thread: ``running(function, *args)``."""
    return Running
