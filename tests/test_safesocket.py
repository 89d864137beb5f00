"""SafeSocket as a socket: what it takes, what it gives back, and how it looks."""

from __future__ import annotations

import inspect
import os
import pickle
import socket
import ssl
import sys
import threading
import weakref
from pathlib import Path

import hangup
import pytest
from hangup import CannotGuard, ClosedHere, SafeSocket

Pair = tuple[SafeSocket, socket.socket]

CALLED_BY_SERVERS = [
    "accept", "bind", "close", "connect", "connect_ex", "detach", "dup", "family", "fileno", "get_inheritable",
    "getblocking", "getpeername", "getsockname", "getsockopt", "gettimeout", "makefile", "proto", "recv", "recv_into",
    "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send", "sendall", "sendfile", "sendmsg", "sendto",
    "set_inheritable", "setblocking", "setsockopt", "settimeout", "shutdown", "type",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CALLED_BY_SERVERS if name != "accept"])
def test_has_what_servers_and_clients_call(pair: Pair, name: str) -> None:
    """Everything of socket.socket except listening and accepting."""
    sock, _ = pair
    assert callable(getattr(sock, name)) == callable(getattr(socket.socket, name))


@pytest.mark.parametrize("name", ["makefile", "sendfile", "recv_into", "recv", "send", "sendall"])
def test_takes_the_arguments_that_socket_takes(name: str) -> None:
    """Names and defaults are those of the standard library where it has any."""
    ours = inspect.signature(getattr(SafeSocket, name))
    assert next(iter(ours.parameters)) == "self"
    try:
        theirs = inspect.signature(getattr(socket.socket, name))
    except ValueError:  # C methods without a signature
        return
    assert name == "makefile" or list(ours.parameters) == list(theirs.parameters)


def test_takes_a_socket_over_and_leaves_it_inert() -> None:
    """The number is the same; the old object no longer has it."""
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    with SafeSocket(ours) as sock, theirs:
        assert sock.fileno() == number
        assert ours.fileno() == -1
        theirs.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_takes_a_number_over() -> None:
    """An integer is a descriptor to own."""
    ours, theirs = socket.socketpair()
    with SafeSocket(ours.detach()) as sock, theirs:
        assert (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_STREAM)
        sock.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_keeps_the_timeout_of_the_socket_it_takes() -> None:
    """A socket with a timeout is taken over with it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(1.5)
    with SafeSocket(ours) as sock, theirs:
        assert sock.gettimeout() == 1.5


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("closed", lambda: 1_000_000),
        ("closed", lambda: -1),
        ("regular file", lambda: os.open(__file__, os.O_RDONLY)),
        ("directory", lambda: os.open(Path(__file__).parent, os.O_RDONLY)),
        ("character device", lambda: os.open(os.devnull, os.O_RDWR)),
        ("anonymous descriptor", lambda: os.eventfd(0)),
    ],
)
def test_refuses_what_is_no_socket_and_says_what_it_was(kind: str, make: object) -> None:
    """A typed error names it, and the descriptor still belongs to the caller."""
    if kind == "anonymous descriptor" and not hasattr(os, "eventfd"):
        pytest.skip("os.eventfd needs Python 3.10")
    number = make()  # type: ignore[operator]
    before = hangup.stats()["refused"]
    with pytest.raises(CannotGuard, match=kind) as raised:
        SafeSocket(number)
    assert (raised.value.fd, raised.value.kind) == (number, kind)
    assert hangup.stats()["refused"] == before + 1
    if kind != "closed":
        os.close(number)


def test_refuses_a_listener_which_goes_on_listening() -> None:
    """A listening descriptor is not taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(CannotGuard, match="listening socket"):
            SafeSocket(server)
        with socket.create_connection(server.getsockname()):
            server.accept()[0].close()


def test_refuses_what_is_guarded_already(pair: Pair) -> None:
    """By object and by number; the first guard is not disturbed."""
    sock, peer = pair
    for again in (sock, sock.fileno()):
        with pytest.raises(CannotGuard, match="already guarded"):
            SafeSocket(again)  # type: ignore[arg-type]
    sock.sendall(b"x")
    assert peer.recv(1) == b"x"


def test_refuses_tls_which_goes_on_working() -> None:
    """An SSLSocket's bytes are not what is on the wire."""
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with theirs, context.wrap_socket(ours, do_handshake_on_connect=False) as wrapped:
        with pytest.raises(CannotGuard, match="TLS socket"):
            SafeSocket(wrapped)
        assert wrapped.fileno() >= 0


@pytest.mark.parametrize("nonsense", ["x", None, 1.5, b"", object()])
def test_refuses_other_types(nonsense: object) -> None:
    """TypeError, as for any function."""
    with pytest.raises(TypeError):
        SafeSocket(nonsense)  # type: ignore[arg-type]


def test_can_be_referred_to_weakly(pair: Pair) -> None:
    """As WeakKeyDictionary users need it."""
    assert weakref.ref(pair[0])() is pair[0]


def test_cannot_be_pickled(pair: Pair) -> None:
    """A descriptor has no meaning elsewhere."""
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(pair[0])


def test_shows_its_state(pair: Pair) -> None:
    """Addresses while it is open, [closed] after."""
    sock, peer = pair
    assert f"fd={sock.fileno()}" in repr(sock)
    assert str(peer.getsockname()[1]) in repr(sock)
    sock.close()
    assert "[closed]" in repr(sock)
    assert sock.fileno() == -1


def test_detach_gives_the_number_back_once(pair: Pair) -> None:
    """The caller owns it; the object is closed."""
    sock, peer = pair
    number = sock.detach()
    assert sock.detach() == -1
    assert sock.fileno() == -1
    with socket.socket(fileno=number) as stock:
        stock.sendall(b"x")
        assert peer.recv(1) == b"x"


def test_a_duplicate_is_another_descriptor(pair: Pair) -> None:
    """Both work; closing one leaves the other."""
    sock, peer = pair
    with sock.dup() as twin:
        assert twin.fileno() != sock.fileno()
        assert isinstance(twin, SafeSocket)
        sock.close()
        twin.sendall(b"x")
        assert peer.recv(1) == b"x"


def test_options_and_addresses_are_the_sockets(pair: Pair) -> None:
    """CPython's own code, on the guarded number."""
    sock, peer = pair
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getpeername() == peer.getsockname()
    assert sock.getsockname() == peer.getpeername()
    assert sock.get_inheritable() is False
    sock.set_inheritable(True)
    assert os.get_inheritable(sock.fileno())


def test_close_is_idempotent_and_counted(pair: Pair) -> None:
    """One close, however often it is asked for."""
    before = hangup.stats()["closed"]
    for _ in range(3):
        pair[0].close()
    assert hangup.stats()["closed"] == before + 1


def test_writing_after_our_own_close_is_closed_here_never_ebadf(pair: Pair) -> None:
    """EPIPE, with the place that closed, counted."""
    sock, _ = pair
    sock.close()
    before = hangup.stats()["writes_prevented"]
    for write in (lambda: sock.send(b"x"), lambda: sock.sendall(b"x")):
        with pytest.raises(ClosedHere) as raised:
            write()
        assert isinstance(raised.value, BrokenPipeError)
        assert raised.value.errno == 32
        assert raised.value.bytes_sent == 0
        assert "test_safesocket.py" in raised.value.closed_by
    assert hangup.stats()["writes_prevented"] == before + 2


def test_everything_else_after_our_own_close_is_quiet_or_closed_here(pair: Pair) -> None:
    """No operation reaches the number."""
    sock, _ = pair
    sock.close()
    sock.setblocking(False)
    sock.settimeout(1)
    for operation in (
        lambda: sock.recv(1),
        lambda: sock.recv_into(bytearray(1)),
        lambda: sock.getpeername(),
        lambda: sock.shutdown(socket.SHUT_RDWR),
        lambda: sock.sendmsg([b"x"]),
        lambda: sock.recvmsg(1),
    ):
        with pytest.raises(ClosedHere) as raised:
            operation()
        assert raised.value.errno in (32, 107)


def test_snapshot_lists_what_is_open(pair: Pair) -> None:
    """Number, kind, peer and age."""
    sock, peer = pair
    row = next(row for row in hangup.fds.snapshot() if row.fd == sock.fileno())
    assert (row.kind, row.peer, row.closing) == ("socket", peer.getsockname(), False)
    assert row.opened > 0


def test_the_books_balance(pair: Pair) -> None:
    """adopted = closed + detached + stolen + open."""
    pair[0].close()
    stats = hangup.stats()
    assert stats["adopted"] == stats["closed"] + stats["detached"] + stats["stolen"] + stats["open"]


def test_two_closers_at_once_are_one(pair: Pair) -> None:
    """Both return; one closed."""
    sock, peer = pair
    before = hangup.stats()["closed"]
    threads = [threading.Thread(target=sock.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hangup.stats()["closed"] == before + 1
    assert peer.recv(1) == b""


def test_a_subclass_is_one(pair: Pair) -> None:
    """Users may derive from it."""
    mine = type("Mine", (SafeSocket,), {})
    with mine(pair[0].detach()) as sock:
        assert isinstance(sock, SafeSocket)
        assert "Mine" in repr(sock)


def test_importing_it_opens_no_descriptor() -> None:
    """Nothing is opened before it is needed."""
    import subprocess

    count = "len(os.listdir('/proc/self/fd'))"
    code = f"import os; n = {count}; import hangup; hangup.SafeSocket; print({count} - n)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
