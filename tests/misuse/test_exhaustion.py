"""No descriptor left: what needs one fails or does without, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

Passes = Callable[..., str]

EXHAUST = """
    import errno, resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    hoard = []
    def exhaust():
        while True:
            try:
                hoard.append(os.dup(0))
            except OSError as error:
                assert error.errno == errno.EMFILE
                return
    sock, peer = pair()
    peer.settimeout(20)
"""


def test_dup_without_a_descriptor_left_raises_and_loses_nothing(passes: Passes) -> None:
    """EMFILE as a plain OSError; the original works on, and dup does as soon as there is room."""
    passes(
        EXHAUST
        + """
    before = hangup.stats()
    exhaust()
    for _ in range(100):
        try:
            sock.dup()
        except OSError as error:
            assert error.errno == errno.EMFILE and type(error) is OSError
        else:
            raise AssertionError("no error")
    assert hangup.stats() == before
    sock.sendall(b"x"); assert peer.recv(1) == b"x"
    peer.sendall(b"y"); assert sock.recv(1) == b"y"
    os.close(hoard.pop())
    twin = sock.dup()
    twin.sendall(b"z"); assert peer.recv(1) == b"z"
    sock.close(), twin.close()
    """
    )


def test_sendfile_without_a_descriptor_left_copies_and_delivers_everything(passes: Passes) -> None:
    """sendfile(2) needs a descriptor of its own; reading and sending does not."""
    passes(
        EXHAUST
        + """
    import tempfile
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    data = bytes(range(253)) * 4000
    with tempfile.TemporaryFile() as file:
        file.write(data)
        for offset, count in ((0, None), (1000, None), (7, 500_000)):
            exhaust()
            received = bytearray()
            wanted = data[offset:] if count is None else data[offset:offset + count]
            def read():
                while len(received) < len(wanted):
                    received.extend(peer.recv(1 << 16))
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            assert sock.sendfile(file, offset, count) == len(wanted)
            reader.join(20)
            assert received == wanted
            assert file.tell() == offset + len(wanted)
    sock.close()
    """
    )


def test_closing_a_server_connection_without_a_descriptor_left_for_the_engine(passes: Passes) -> None:
    """A lingering close needs an epoll of its own at first: without one it is a plain close."""
    passes(
        EXHAUST
        + """
    from hangup import _hangup
    ours, client = socket.socketpair()
    server = _hangup.Socket(ours.detach(), "server", False)
    number = server.fileno()
    exhaust()
    server.sendall(b"response")
    server.shutdown(socket.SHUT_WR)
    server._close()
    assert _hangup.drain(5.0) == 0
    try:
        os.fstat(number)
    except OSError:
        pass
    else:
        raise AssertionError("it is open")
    client.settimeout(20)
    assert client.recv(99) == b"response" and client.recv(1) == b""
    sock.close()
    """
    )


def test_guarding_needs_no_descriptor(passes: Passes) -> None:
    """Adopting, using and closing at the limit."""
    passes(
        EXHAUST
        + """
    ours, theirs = socket.socketpair()
    exhaust()
    with SafeSocket(ours) as guarded:
        guarded.sendall(b"x"); assert theirs.recv(1) == b"x"
        with guarded.makefile("rb") as file:
            theirs.sendall(b"line\\n"); assert file.readline() == b"line\\n"
    assert theirs.recv(1) == b""
    sock.close()
    """
    )
