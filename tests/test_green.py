"""SafeSocket in the hubs of gevent and eventlet: each case in an interpreter of its own, monkey-patched."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDES = {
    "gevent": """
        from gevent import monkey; monkey.patch_all()
        import gevent
        from gevent import sleep
        spawn = gevent.spawn
        def result(green): return green.get(timeout=10)
        def kill(green): green.kill()
        def in_real_thread(f): return gevent.get_hub().threadpool.spawn(f)
    """,
    "eventlet": """
        import warnings; warnings.simplefilter("ignore")
        import eventlet; eventlet.monkey_patch()
        from eventlet import sleep, tpool
        spawn = eventlet.spawn
        def result(green):
            with eventlet.Timeout(10): return green.wait()
        def kill(green): green.kill()
        def in_real_thread(f): return spawn(tpool.execute, f)
    """,
}

#: gevent's other event loop knows of numbers, where libev knows of watchers.
PRELUDES["gevent-libuv"] = "import os; os.environ['GEVENT_LOOP'] = 'libuv'\n" + textwrap.dedent(
    PRELUDES["gevent"]
)

COMMON = """
import socket, time, os, tempfile
from hangup import *
MORE = b"0123456789abcdef" * (1 << 19)

def tcp():
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    server.close()
    return SafeSocket(ours), theirs

class Ticker:
    "Counts while others wait: a hub that is blocked does not tick."
    def __enter__(self):
        self.ticks, self.on = 0, True
        def tick():
            while self.on:
                sleep(0.001)
                self.ticks += 1
        self.green = spawn(tick)
        sleep(0)
        return self
    def __exit__(self, *_):
        self.on = False
    def wait(self, more=20):
        start = self.ticks
        while self.ticks < start + more:
            sleep(0.001)

def drain(peer, limit):
    parts, left = [], limit
    while left and (part := peer.recv(min(left, 65536))):
        parts.append(part); left -= len(part)
    return b"".join(parts)
"""

CASES = {
    "is_a_safe_socket": """
        sock, peer = tcp()
        assert isinstance(sock, SafeSocket) and sock._green
        sock.sendall(b"x"); assert peer.recv(1) == b"x"
    """,
    "waiting_to_receive_lets_others_run": """
        sock, peer = tcp()
        for receive in (lambda: sock.recv(9), lambda: bytes(b[:sock.recv_into(b)]), lambda: sock.recvmsg(9)[0]):
            b = bytearray(9)
            with Ticker() as ticker:
                reader = spawn(receive)
                ticker.wait()
                peer.sendall(b"late")
                assert result(reader) == b"late"
    """,
    "waiting_to_send_lets_others_run": """
        sock, peer = tcp()
        with Ticker() as ticker:
            writer = spawn(sock.sendall, MORE)
            ticker.wait()
            assert drain(peer, len(MORE)) == MORE
            result(writer)
    """,
    "sending_a_file_lets_others_run": """
        sock, peer = tcp()
        with tempfile.TemporaryFile() as file, Ticker() as ticker:
            file.write(MORE); file.seek(0)
            writer = spawn(sock.sendfile, file)
            ticker.wait()
            assert drain(peer, len(MORE)) == MORE
            assert result(writer) == len(MORE)
    """,
    "a_timeout_runs_out_while_others_run": """
        sock, peer = tcp()
        sock.settimeout(0.05)
        with Ticker() as ticker:
            for call in (lambda: sock.recv(1), lambda: sock.sendall(MORE)):
                try: call()
                except socket.timeout: pass
                else: raise AssertionError("did not time out")
            assert ticker.ticks > 10
        sock.setblocking(False)
        try: sock.recv(1)
        except BlockingIOError: pass
    """,
    "a_close_by_another_greenlet_wakes": """
        for block in (lambda sock: sock.recv(1), lambda sock: sock.sendall(MORE), lambda sock: sock.recvmsg(1)):
            sock, peer = tcp()
            waiting = spawn(block, sock)
            sleep(0.01)
            sock.close()
            try: result(waiting)
            except ClosedHere: pass
            else: raise AssertionError("not closed")
    """,
    "a_close_by_a_real_thread_wakes": """
        sock, peer = tcp()
        waiting = spawn(sock.recv, 1)
        sleep(0.01)
        closer = in_real_thread(lambda: sock._close())
        try: result(waiting)
        except ClosedHere: pass
        else: raise AssertionError("not closed")
        result(closer)
    """,
    "buffers_of_two_greenlets_are_not_mixed": """
        sock, peer = tcp()
        size = 2_000_000
        writers = [spawn(sock.sendall, tag * size) for tag in (b"a", b"b", b"c")]
        stream = drain(peer, 3 * size)
        for writer in writers: result(writer)
        assert all(len(set(stream[i:i + size])) == 1 for i in range(0, 3 * size, size))
    """,
    "a_killed_waiter_leaves_the_socket_usable": """
        sock, peer = tcp()
        for block in (lambda: sock.recv(1), lambda: sock.sendall(MORE)):
            waiting = spawn(block)
            sleep(0.01)
            kill(waiting)
        peer.sendall(b"fine")
        assert sock.recv(9) == b"fine"
        sock.settimeout(5)
        reader = spawn(drain, peer, 1 << 30)
        sock.sendall(b"more")
        sock.close()
        assert result(reader).endswith(b"more")
    """,
    "files_work": """
        sock, peer = tcp()
        with sock.makefile("rwb") as file:
            file.write(b"question\\n"); file.flush()
            assert peer.recv(99) == b"question\\n"
            reader = spawn(file.readline)
            sleep(0.01)
            peer.sendall(b"answer\\n")
            assert result(reader) == b"answer\\n"
    """,
    "two_readers_wait_at_once": """
        sock, peer = tcp()
        for _ in range(3):
            readers = [spawn(sock.recv, 1) for _ in range(2)]
            sleep(0.01)
            peer.sendall(b"a")
            while sum(map(bool, readers)) == 2: sleep(0.001)
            peer.sendall(b"b")
            assert sorted(result(reader) for reader in readers) == [b"a", b"b"]
    """,
    "a_number_that_comes_back_is_waited_for_anew": """
        server = socket.create_server(("127.0.0.1", 0))
        kept, numbers = [], []
        for turn in range(20):
            peer = socket.create_connection(server.getsockname())
            sock = SafeSocket(server.accept()[0])
            numbers.append(sock.fileno())
            for word in (b"one", b"two"):
                reader = spawn(sock.recv, 9)
                sleep(0.001)
                peer.sendall(word)
                assert result(reader) == word
            if turn % 2: spawn(sock.recv, 9)  # whom the close wakes
            sock.close(); peer.close()
            kept.append(sock)
        assert len(set(numbers)) < len(numbers)
    """,
    "a_thread_of_its_own_waits_in_its_own_hub": """
        sock, peer = tcp()
        for word in (b"one", b"two"):
            peer.sendall(word) if word == b"two" else spawn(lambda: (sleep(0.01), peer.sendall(b"one")))
            assert sock.recv(3) == word
        reader = in_real_thread(lambda: sock.recv(5))
        sleep(0.05)
        peer.sendall(b"three")
        assert result(reader) == b"three"
        reader = spawn(sock.recv, 4)
        sleep(0.01)
        peer.sendall(b"four")
        assert result(reader) == b"four"
    """,
    "connecting_waits_in_the_hub": """
        server = socket.create_server(("127.0.0.1", 0))
        with SafeSocket(socket.socket()) as sock:
            sock.settimeout(5)
            sock.connect(server.getsockname())
            server.accept()[0].close()
            assert sock.recv(1) == b""
    """,
}


@pytest.mark.parametrize("hub", sorted(PRELUDES))
@pytest.mark.parametrize("case", sorted(CASES))
def test_in_the_hub(hub: str, case: str) -> None:
    """Nothing native blocks the hub, and what is promised for threads holds for greenlets."""
    if hub == "eventlet" and case == "two_readers_wait_at_once":
        pytest.skip("eventlet lets one greenlet read at a time")
    pytest.importorskip(hub.partition("-")[0])
    if hub.endswith("libuv"):
        pytest.importorskip("cffi")
    code = "\n".join([textwrap.dedent(PRELUDES[hub]), COMMON, textwrap.dedent(CASES[case]), "os._exit(0)"])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
