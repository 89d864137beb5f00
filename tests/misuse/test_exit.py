"""The end of the interpreter: whatever is open or blocked then, it ends soon, quietly, with its own exit code."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

Passes = Callable[..., str]
WITHIN = 5.0  # seconds, interpreter start included


@pytest.fixture
def ends(program: Callable[..., object]) -> Callable[..., None]:
    """Runs a program that must end soon, silently, with ``code``."""

    def run(source: str, *options: str, code: int = 0) -> None:
        begun = time.monotonic()
        done = program(source, *options)
        assert (done.returncode, done.stderr) == (code, "")
        assert time.monotonic() - begun < WITHIN

    return run


HELD = {
    "a module global": "sock, peer = pair()",
    "a reference cycle": "sock, peer = pair(); cell = [sock, peer]; cell.append(cell); del sock, peer, cell",
    "an attribute of the module itself": "hangup.kept, peer = pair()",
    "an attribute of builtins": "import builtins; builtins.kept, peer = pair()",
    "a subclass with a cycle": (
        "class Mine(SafeSocket): pass\nsock = Mine(socket.socketpair()[0]); sock.me = sock; del sock"
    ),
    "a file of the socket": "sock, peer = pair(); file = sock.makefile('rwb')",
    "an entered pin": "sock, peer = pair(); pin = sock._pin(); pin.__enter__()",
    "a closed socket in a pin": "sock, peer = pair(); pin = sock._pin(); pin.__enter__(); sock.close()",
    "a thread-local": "local = threading.local(); local.sock, peer = pair()",
}


@pytest.mark.parametrize("holder", HELD)
def test_an_open_socket_at_exit_is_no_trouble(ends: Callable[..., None], holder: str) -> None:
    """Wherever it is held."""
    ends(HELD[holder])


@pytest.mark.parametrize("holder", ["a module global", "a reference cycle"])
def test_resource_warnings_at_exit_are_shown_only_when_asked_for(
    program: Callable[..., object], holder: str
) -> None:
    """With -W always they name the socket, and are all there is."""
    done = program(HELD[holder], "-X", "dev", "-W", "always::ResourceWarning")
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "ResourceWarning" in line]
    assert any("unclosed <hangup.SafeSocket fd=" in line for line in lines), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "blocked",
    [
        "sock.recv(1)",
        "sock.recv_into(bytearray(1))",
        "sock.sendall(bytes(1 << 24))",
        "sock.sendfile(big)",
        "sock._wait(False, None)",
        "sock.recvmsg(1)",
        "sock.makefile('rb').readline()",
    ],
)
@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "os._exit(3)", "sock.close()"])
def test_exit_does_not_wait_for_daemon_threads_that_are_blocked(
    ends: Callable[..., None], blocked: str, end: str
) -> None:
    """The thread is inside the native code and detached from the interpreter, which goes away."""
    source = f"""
    import tempfile
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    big = tempfile.TemporaryFile()
    big.truncate(1 << 24)
    sock, peer = pair()
    def block():
        try:
            {blocked}
        except ClosedHere:
            pass
    start(block)
    {end}
    """
    ends(source, code=3 if "3" in end else 0)


def test_exit_does_not_wait_for_daemon_threads_that_wait_for_a_lane(ends: Callable[..., None]) -> None:
    """One holds the write lane, four are parked behind it."""
    ends("""
    sock, peer = pair()
    start(sock.sendall, bytes(1 << 24))
    for _ in range(4):
        threading.Thread(target=sock.sendall, args=(b"x",), daemon=True).start()
    """)


def test_a_socket_may_be_used_and_closed_in_an_atexit_handler(passes: Passes) -> None:
    """The handler runs before anything is taken apart."""
    out = passes("""
    import atexit
    sock, peer = pair()
    def last_words():
        sock.sendall(b"bye")
        print(peer.recv(3).decode())
        sock.close()
    atexit.register(last_words)
    """)
    assert out == "bye\n"


def test_a_socket_may_be_made_in_an_atexit_handler(ends: Callable[..., None]) -> None:
    """Without importing the class before, and left open."""
    ends(
        "import atexit; atexit.register(lambda: globals().update(late=hangup.SafeSocket(socket.socketpair()[0])))"
    )


def test_a_socket_that_lingers_at_exit_is_no_trouble(ends: Callable[..., None]) -> None:
    """The engine's thread is cut off."""
    ends("""
    from hangup import _hangup
    ours, peer = socket.socketpair()
    server = _hangup.Socket(ours.detach(), "server", False)
    server.shutdown(socket.SHUT_WR)
    server._close()
    assert hangup.stats()["lingered"] == 1
    """)


def test_sys_exit_in_a_thread_ends_that_thread_alone(passes: Passes) -> None:
    """A socket on its stack is closed; the program goes on."""
    passes("""
    sock, peer = pair()
    def leave(mine):
        mine.sendall(b"x")
        sys.exit(7)
    thread = threading.Thread(target=leave, args=(sock,))
    del sock
    thread.start()
    thread.join(20)
    del thread
    peer.settimeout(20)
    assert peer.recv(2) == b"x"
    """)


@pytest.mark.parametrize("blocked", ["sock.recv(1)", "sock.sendall(bytes(1 << 24))"])
def test_sigterm_ends_a_program_that_is_blocked(ends: Callable[..., None], blocked: str) -> None:
    """The default action, in the middle of a native call of the main thread."""
    ends(
        f"""
    sock, peer = pair()
    class main:
        native_id = os.getpid()
    def kill():
        if until(lambda: asleep(main)):
            os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=kill, daemon=True).start()
    {blocked}
    """,
        code=-15,
    )


def test_keyboard_interrupt_ends_a_program_that_is_blocked(program: Callable[..., object]) -> None:
    """As with a stock socket: a traceback, and death by SIGINT."""
    done = program("""
    sock, peer = pair()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    class main:
        native_id = os.getpid()
    def kill():
        if until(lambda: asleep(main)):
            os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=kill, daemon=True).start()
    sock.recv(1)
    """)
    assert done.returncode == -2
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "panicked" not in done.stderr
