"""What ``hangup.fds`` says of descriptors: the ledger's figures, those that died, and the census of everybody's."""

from __future__ import annotations

import contextlib
import inspect
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import hangup
import pytest
from hangup import SafeSocket, _hangup
from hangup._demo.server import wait_until
from hangup.testing import reset

hypothesis = pytest.importorskip("hypothesis")
strategies = hypothesis.strategies


def line_of(fd: int) -> Any:
    return next(line for line in hangup.fds.snapshot() if line.fd == fd)


def test_a_connection_keeps_its_figures(pair: tuple[SafeSocket, socket.socket]) -> None:
    """Bytes both ways, when they moved, the client, and what TCP knows."""
    ours, theirs = pair
    before = time.time() - 1
    line = line_of(ours.fileno())
    assert (line.received, line.sent, line.last_read, line.last_write) == (0, 0, None, None)
    ours.sendall(b"x" * 70_000)
    left = 70_000
    while left:
        left -= len(theirs.recv(left))
    theirs.sendall(b"12345")
    assert ours.recv(99, socket.MSG_PEEK) == b"12345"
    assert ours.recv(99) == b"12345"
    line = line_of(ours.fileno())
    assert (line.kind, line.peer, line.received, line.sent) == ("socket", theirs.getsockname(), 5, 70_000)
    assert before < line.opened <= line.last_write <= line.last_read < time.time() + 1
    assert line.tcp.state == "established"
    assert line.tcp.rtt > 0
    assert (line.sid, line.sids, line.rooms, line.queued) == (None, (), (), 0)


@pytest.mark.parametrize(
    ("leave", "cause"), [("reset", "peer_gone"), ("close", "end_of_stream"), ("", "here")]
)
def test_the_dead_are_remembered_with_their_cause(
    pair: tuple[SafeSocket, socket.socket], leave: str, cause: str
) -> None:
    """Who hung up first, and what had been moved by then."""
    ours, theirs = pair
    number, peer = ours.fileno(), theirs.getsockname()
    ours.sendall(b"abc")
    assert theirs.recv(3) == b"abc"
    if leave:
        reset(theirs) if leave == "reset" else theirs.close()
        with contextlib.suppress(OSError):
            ours.recv(1)
    ours.close()
    dead = hangup.fds.recent()[-1]
    assert (dead.fd, dead.kind, dead.peer, dead.cause, dead.sent) == (number, "socket", peer, cause, 3)
    assert dead.opened <= dead.died


def test_the_dead_are_bounded_and_forgotten_by_a_child() -> None:
    """1,024 of them; a fork begins with none."""
    for _ in range(1100):
        one, other = socket.socketpair()
        other.close()
        SafeSocket(one).close()
    assert len(hangup.fds.recent()) == 1024
    pid = os.fork()
    if not pid:
        # what was about to be closed in the parent is closed here, too
        os._exit(len(hangup.fds.recent()) >= 1024)
    assert os.waitpid(pid, 0)[1] == 0


def test_what_hangup_itself_needs_is_listed() -> None:
    """What the engine, the counters and the diagnostics need, and an acceptor's three while it lives."""
    kinds = [line.kind for line in hangup.fds.snapshot()]
    own = ["epoll", "epoll", "eventfd", "eventfd", "memfd"]
    assert sorted(kind for kind in kinds if kind in own) == own
    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = _hangup.Acceptor(listener, 8, 1.0)
        with socket.create_connection(listener.getsockname()) as client:
            assert wait_until(lambda: acceptor.accept() and _kinds("arriving"), 5)
            (line,) = (line for line in hangup.fds.snapshot() if line.kind == "arriving")
            assert line.peer == client.getsockname()
            assert hangup.fds.census().find(line.fd).owned  # type: ignore[union-attr]
        assert {"listener", "timerfd"} <= {line.kind for line in hangup.fds.snapshot()}
        acceptor.close()
    assert [line.kind for line in hangup.fds.snapshot()] == kinds


def _kinds(kind: str) -> list[Any]:
    return [line for line in hangup.fds.snapshot() if line.kind == kind]


@contextlib.contextmanager
def _opened(kind: str) -> Iterator[int]:
    """A descriptor of this kind."""
    if kind == "pipe":
        reads, writes = os.pipe()
        os.close(writes)
        number = reads
    elif kind == "file":
        number, path = tempfile.mkstemp()
        os.unlink(path)
    elif kind == "directory":
        number = os.open("/", os.O_RDONLY)
    elif kind == "device":
        number = os.open("/dev/null", os.O_RDONLY)
    elif kind == "memfd":
        number = os.memfd_create("a name")
    elif kind == "epoll":
        poll = select.epoll()
        number = os.dup(poll.fileno())
        poll.close()
    elif kind == "unix":
        number = socket.socket(socket.AF_UNIX).detach()
    elif kind == "udp":
        number = socket.socket(type=socket.SOCK_DGRAM).detach()
    else:
        number = socket.socket(socket.AF_INET6 if kind == "tcp6" else socket.AF_INET).detach()
    try:
        yield number
    finally:
        os.close(number)


KINDS = ["pipe", "file", "directory", "device", "memfd", "epoll", "unix", "udp", "tcp", "tcp6"]


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    kinds=strategies.lists(strategies.sampled_from(KINDS), max_size=12),
    inheritable=strategies.booleans(),
    high=strategies.integers(200, 900),
)
def test_a_census_lists_what_the_kernel_lists(kinds: list[str], inheritable: bool, high: int) -> None:
    """The same numbers as /proc/self/fd, and of each its kind, its inode, its path and whether it is inherited."""
    with contextlib.ExitStack() as stack:
        opened = {stack.enter_context(_opened(kind)): kind for kind in kinds}
        for number in opened:
            os.set_inheritable(number, inheritable)
        if opened:
            source = next(iter(opened))
            opened[os.dup2(source, high)] = opened[source]
            stack.callback(os.close, high)
            os.set_inheritable(high, inheritable)
        census = hangup.fds.census()
        listed = sorted(map(int, os.listdir("/proc/self/fd")))
        assert [entry.fd for entry in census] == [number for number in listed if _is_open(number)]
        for number, kind in opened.items():
            entry = census.find(number)
            assert entry is not None
            assert entry.kind == kind.rstrip("6")
            assert entry.inode == os.fstat(number).st_ino
            assert entry.cloexec is not inheritable
            assert not entry.owned
            if entry.path is not None:
                assert entry.path == os.readlink(f"/proc/self/fd/{number}")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False  # the listing's own
    return True


@pytest.mark.parametrize("many", [1, 200], ids=["asked one by one", "asked at once"])
def test_a_census_knows_addresses_and_states(many: int) -> None:
    """However many there are, of both families."""
    with contextlib.ExitStack() as stack:
        checked = []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                listener = stack.enter_context(socket.create_server((host, 0), family=family, backlog=many))
            except OSError:
                continue  # no IPv6 here
            for _ in range(many):
                client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
                server = stack.enter_context(listener.accept()[0])
                checked += [(client, "established"), (server, "established")]
            client.shutdown(socket.SHUT_WR)
            checked[-2:] = [(client, "fin_wait2"), (server, "close_wait")]
            assert wait_until(lambda client=client: _state(client) == "fin_wait2", 5)
            checked.append((listener, "listen"))
        census = hangup.fds.census()
        for sock, state in checked:
            entry = census.find(sock.fileno())
            assert entry is not None
            assert (entry.kind, entry.state, entry.local) == ("tcp", state, sock.getsockname())
            assert entry.remote == (None if state == "listen" else sock.getpeername())
            assert entry.inode == os.fstat(sock.fileno()).st_ino


def _state(sock: socket.socket) -> Any:
    entry = hangup.fds.census().find(sock.fileno())
    return entry and entry.state


def test_a_client_that_has_left_and_nobody_closes_is_a_leak(pair: tuple[SafeSocket, socket.socket]) -> None:
    """CLOSE_WAIT, whose age is the kernel's; gone with the close."""
    ours, theirs = pair
    number = ours.fileno()

    def leaks(*age: float) -> list[Any]:
        return [leak for leak in hangup.fds.leaks(*age) if leak.fd == number]

    assert leaks(0.0) == []
    theirs.close()
    assert wait_until(lambda: leaks(0.2), 5)
    (leak,) = leaks(0.2)
    assert leak.kind == "close_wait"
    assert leak.age >= 0.2
    assert leaks() == []
    ours.close()
    assert leaks(0.0) == []


VIOLATION = """
import socket, hangup
from hangup._gunicorn.faces import ServerSocket
ours, client = socket.socketpair()
server = ServerSocket(ours.detach())
def view():
    server.application().close()
view()
try:
    server.sendall(b"response")
except OSError:
    pass
(violation,) = hangup.fds.statistics().violations
print(violation.closed_by, violation.opened_by, violation.stack, sep="|")
client.close(), server.close()
"""


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_violation_names_who_opened_and_who_closed(debug: str) -> None:
    """With the stack of the close, if that is asked for."""
    environment = {**os.environ, "HANGUP_DEBUG": debug}
    command = [sys.executable, "-c", VIOLATION]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    closed_by, opened_by, stack = done.stdout.split("|", 2)
    assert closed_by == "<string>:7 in view"
    assert opened_by.startswith("its server, for a client without an address (http)")
    assert ("in view" in stack) is (debug == "1")


def test_the_hooks_of_requests_chain_those_that_are_there() -> None:
    """A post_request may take two, three or four arguments; gunicorn counts ours."""
    from hangup import _endpoints, gunicorn

    _endpoints.forget()  # what other tests asked
    called = []
    configuration: dict[str, Any] = {"post_request": lambda worker, req: called.append((worker, req))}
    gunicorn.install(configuration)
    assert len(inspect.signature(configuration["post_request"]).parameters) == 4
    configuration["pre_request"]("worker", "req")
    configuration["post_request"]("worker", "req", {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, None)
    assert called == [("worker", "req")]
    assert [one.name for one in hangup.fds.endpoints()] == ["GET /"]
    _endpoints.forget()
