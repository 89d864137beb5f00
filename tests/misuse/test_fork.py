"""fork(2): a child's copies are its own to close, whatever the parent's threads were doing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Passes = Callable[..., str]


def test_a_child_that_closes_an_inherited_socket_leaves_the_parents_connection_alone(passes: Passes) -> None:
    """close() in the child closes the child's number; nothing is shut down."""
    passes("""
    sock, peer = pair()
    sock.fileno()
    assert reap(forked(lambda: sock.close())) == 0
    peer.settimeout(20)
    sock.sendall(b"to the peer"); assert peer.recv(99) == b"to the peer"
    peer.sendall(b"from the peer"); assert sock.recv(99) == b"from the peer"
    sock.close(); assert peer.recv(1) == b""
    """)


def test_a_child_that_exits_leaves_the_parents_connection_alone(passes: Passes) -> None:
    """A child that runs the interpreter's whole exit, destructors included."""
    passes("""
    sock, peer = pair()
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    assert reap(pid) == 0
    sock.sendall(b"x"); assert peer.recv(1) == b"x"
    """)


def test_a_child_can_use_and_close_what_it_inherited(passes: Passes) -> None:
    """Both directions work in the child; the peer sees the end when both processes have closed."""
    passes("""
    sock, peer = pair()
    peer.settimeout(20)
    def child():
        sock.sendall(b"child")
        assert sock.recv(5) == b"reply"
        number = sock.fileno()
        sock.close()
        try:
            os.fstat(number)
        except OSError:
            return 0
        return 1
    pid = forked(child)
    assert peer.recv(5) == b"child"
    sock.close()
    peer.sendall(b"reply")
    assert reap(pid) == 0
    assert peer.recv(1) == b""
    """)


def test_a_childs_totals_start_at_zero(passes: Passes) -> None:
    """What happened in the parent is the parent's; what is open is inherited."""
    passes("""
    sock, peer = pair()
    other, _ = pair()
    other.close()
    try:
        other.send(b"x")
    except ClosedHere:
        pass
    assert hangup.stats()["writes_prevented"] == hangup.stats()["closed"] == 1
    def child():
        stats = hangup.stats()
        assert stats.pop("open") == stats.pop("adopted") == 1
        assert not any(stats.values()), stats
    assert reap(forked(child)) == 0
    assert hangup.stats()["closed"] == 1
    """)


@pytest.mark.parametrize("blocked", ["sock.recv(1)", "sock.sendall(bytes(1 << 24))"])
def test_a_child_forked_while_a_thread_is_blocked_can_use_and_close_the_socket(
    passes: Passes, blocked: str
) -> None:
    """The blocked thread does not exist in the child: its lane is free, its place is not counted."""
    passes(f"""
    sock, peer = pair()
    def block():
        try:
            {blocked}
        except ClosedHere:
            pass
    thread = start(block)
    def child():
        number = sock.fileno()
        sock.settimeout(0)
        for operation in (lambda: sock.recv(1), lambda: sock.send(b"x")):
            try:
                operation()
            except BlockingIOError as error:
                assert not isinstance(error, Busy), "the lane of a thread that does not exist"
        sock.close()
        try:
            os.fstat(number)
        except OSError:
            return 0
        return 1
    assert reap(forked(child)) == 0
    assert asleep(thread), "the parent's thread was disturbed"
    sock.close()
    thread.join(20)
    assert not thread.is_alive()
    """)


def test_a_child_forked_between_a_close_and_its_last_user_does_not_keep_the_descriptor(
    passes: Passes,
) -> None:
    """The close was claimed, the user that would have carried it out is not in the child."""
    passes("""
    sock, peer = pair()
    number = sock.fileno()
    inside, leave = threading.Event(), threading.Event()
    def use():
        with sock._pin():
            inside.set()
            leave.wait(20)
    thread = threading.Thread(target=use)
    thread.start()
    inside.wait(20)
    sock.close()
    os.fstat(number)  # still there: somebody is inside
    def child():
        sock.close()
        try:
            os.fstat(number)
        except OSError:
            assert hangup.stats()["open"] == 0
            return 0
        return 1
    assert reap(forked(child)) == 0
    leave.set()
    thread.join(20)
    """)


def test_a_fork_by_the_user_inside_is_survived_by_both(passes: Passes) -> None:
    """A number that is pinned across fork(2) is released in parent and child."""
    passes("""
    sock, peer = pair()
    with sock._pin() as number:
        pid = os.fork()
    if pid == 0:
        try:
            sock.sendall(b"child")
            sock.close()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert reap(pid) == 0
    peer.settimeout(20)
    assert peer.recv(5) == b"child"
    sock.sendall(b"parent"); assert peer.recv(6) == b"parent"
    sock.close(); assert peer.recv(1) == b""
    """)


@pytest.mark.parametrize("after", ["os._exit(0)", "sys.exit(0)"])
def test_a_signal_handler_may_fork_in_the_middle_of_a_sendall(passes: Passes, after: str) -> None:
    """The parent's frame arrives untorn, whether the child ends at once or by an exception."""
    passes(f"""
    sock, peer = pair()
    size, children = 1 << 22, []
    def fork(*_):
        pid = os.fork()
        if pid:
            children.append(pid)
        else:
            {after}
    signal.signal(signal.SIGUSR1, fork)
    data = bytes(range(256)) * (size // 256)
    received = bytearray()
    def read():
        assert until(lambda: asleep(main))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert until(lambda: children)
        assert reap(children[0]) == 0
        while len(received) < size:
            received.extend(peer.recv(1 << 16))
    class main:
        native_id = os.getpid()
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    sock.sendall(data)
    thread.join(30)
    assert received == data
    """)


def test_children_forked_during_a_storm_of_sends_and_closes_can_close_their_copies(passes: Passes) -> None:
    """Four threads send, close and open all the time: no lock is inherited locked, nothing is left open."""
    passes("""
    import gc
    stop = threading.Event()
    current = [None] * 4
    failures = []
    def storm(slot):
        while not stop.is_set():
            sock, peer = pair()
            current[slot] = sock, peer
            peer.setblocking(False)
            try:
                for _ in range(4):
                    current[(slot + 1) % 4] and current[(slot + 1) % 4][0].send(b"x" * 100)
                    sock.fileno()
            except (ClosedHere, PeerGone):
                pass
            except BaseException as error:
                failures.append(error)
            sock.close()
            peer.close()
    threads = [threading.Thread(target=storm, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    assert until(lambda: all(current))
    def child():
        for sock, peer in current:
            sock.close()
            peer.close()
        for row in hangup.fds.snapshot():
            assert not row.closing, row
        mine, its = pair()
        mine.sendall(b"works"); assert its.recv(5) == b"works"
        mine.close()
    for round in range(60):
        code = reap(forked(child))
        assert code == 0, (round, code)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failures, failures
    """)


def test_multiprocessing_by_fork_shares_a_socket(passes: Passes) -> None:
    """A Process gets the socket as an argument, sends on it and goes."""
    passes("""
    import multiprocessing
    context = multiprocessing.get_context("fork")
    sock, peer = pair()
    peer.settimeout(20)
    def work(sock):
        sock.sendall(b"worker")
        sock.close()
    process = context.Process(target=work, args=(sock,))
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert peer.recv(6) == b"worker"
    sock.sendall(b"x"); assert peer.recv(1) == b"x"
    """)


def test_subprocesses_started_during_a_storm_inherit_no_socket(passes: Passes) -> None:
    """Descriptors are not inheritable, whenever the exec happens."""
    passes("""
    import subprocess
    stop = threading.Event()
    def storm():
        while not stop.is_set():
            sock, peer = pair()
            twin = sock.dup()
            sock.send(b"x")
            twin.close(), sock.close(), peer.close()
    threads = [threading.Thread(target=storm) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for preexec in (None, os.getpid):
            for _ in range(10):
                done = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, timeout=20,
                                      close_fds=False, preexec_fn=preexec, check=True)
                assert "socket:" not in done.stdout, done.stdout
    finally:
        stop.set()
    for thread in threads:
        thread.join(20)
    """)


def test_forks_among_slow_hooks_do_not_stop_other_threads(passes: Passes) -> None:
    """Python's hooks around fork(2) may hand the interpreter over: no lock of ours is held between them."""
    passes(
        """
    done = threading.Event()
    opened = 0
    def churn():
        global opened
        while not done.is_set():
            pair()[0].close()
            opened += 1
    thread = threading.Thread(target=churn)
    thread.start()
    for _ in range(20):
        assert reap(forked(lambda: 0)) == 0
    done.set()
    thread.join(20)
    assert not thread.is_alive() and opened
    """,
        before="""
    import os, time
    pause = lambda: time.sleep(0.005)  # gives the interpreter away; every fork passes here
    os.register_at_fork(before=pause, after_in_parent=pause)
    """,
    )
