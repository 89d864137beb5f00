"""What applications do with ``gunicorn.socket`` besides closing it, and what a process does to its descriptors."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
from http.client import HTTPConnection
from pathlib import Path

import pytest
from e2e_gunicorn import gunicorn

APP = """
import fcntl, gc, json, os, resource, socket, threading, time
held, watched = [], []

def steal():
    # Closes the number of a connection that waits in the worker's poller.
    number, end = watched.pop(), time.monotonic() + 5
    poller = next(one.poller for one in gc.get_objects() if hasattr(type(one), "murder_keepalived"))
    while number not in poller.get_map():
        assert time.monotonic() < end
        time.sleep(0.001)
    os.close(number)

def serve(fd):
    with socket.socket(fileno=fd) as own:
        own.settimeout(5)
        own.sendall(b"ECHO " + own.recv(100))

def app(environ, start_response):
    path, sock = environ["PATH_INFO"], environ["gunicorn.socket"]
    if path == "/detach":
        threading.Thread(target=serve, args=(sock.detach(),)).start()
    if path == "/by-number":  # as ssl.SSLContext.wrap_socket does
        number = sock.fileno()
        sock.detach()
        threading.Thread(target=serve, args=(number,)).start()
    if path == "/dup":
        twin = sock.dup()
        twin.sendall(b"HTTP/1.1 103 Early Hints\\r\\n\\r\\n")
        twin.close()
    if path == "/fork":
        pid = os.fork()
        if pid == 0:
            sock.close()
            os._exit(0)
        os.waitpid(pid, 0)
    if path == "/late-101":
        sock.sendall(b"HTTP/1.1 103 Early Hints\\r\\n\\r\\n")
        sock.sendall(b"HTTP/1.1 1")
        sock.sendall(b"01 Switching Protocols\\r\\n\\r\\nFRAME")
        return []
    if path == "/no-seek":
        class NoSeek:
            def __init__(self): self.file = open(__file__, "rb")
            def read(self, n=-1): return self.file.read(n)
            def fileno(self): return self.file.fileno()
        start_response("200 OK", [("Content-Length", str(os.path.getsize(__file__)))])
        return environ["wsgi.file_wrapper"](NoSeek())
    if path == "/watch":
        watched.append(sock.fileno())
    if path == "/steal":
        steal()
    if path == "/hoard":
        last = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
        held.append(open(os.devnull))
        while held[-1].fileno() < last - 5:  # the worker itself needs some
            held.append(open(os.devnull))
    closed_on_exec = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            kept = socket.socket(fileno=fd)
        except OSError:  # no socket, or the descriptor of listdir
            continue
        if kept.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            closed_on_exec.append(bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC))
        kept.detach()
    body = json.dumps({"pid": os.getpid(), "closed_on_exec": closed_on_exec, "held": len(held)}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

EVERY_VERSION = pytest.mark.parametrize("version", ["21.2.0", "27.0.1"])
HANGUP = ("-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4")


def request(port: int, path: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=8)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return client


def everything(client: socket.socket) -> bytes:
    with client:
        received = b""
        while part := client.recv(65536):
            received += part
        return received


@EVERY_VERSION
def test_a_detached_connection_is_the_applications_alone(tmp_path: Path, version: str) -> None:
    """Neither the server's end nor its linger takes a byte from the new owner."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        server.ask()
        for _ in range(5):
            client = request(server.port, "/detach")
            client.settimeout(0.3)
            with pytest.raises(socket.timeout):
                client.recv(1)  # the server is done with it, and has said nothing
            client.settimeout(8)
            client.sendall(b"payload")
            assert everything(client) == b"ECHO payload"
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_whoever_detaches_may_go_on_with_the_number_it_had(tmp_path: Path, version: str) -> None:
    """The next clients do not get it meanwhile, and hear nothing that is not theirs."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server, contextlib.ExitStack() as kept:
        server.ask()
        detached = request(server.port, "/by-number")
        strangers = [HTTPConnection("127.0.0.1", server.port, timeout=8) for _ in range(6)]
        for stranger in strangers:
            kept.callback(stranger.close)
            stranger.request("GET", "/")
            assert json.loads(stranger.getresponse().read())["pid"]
        detached.sendall(b"payload")
        assert everything(detached) == b"ECHO payload"
        for stranger in strangers:  # the number was closed by its new owner: theirs are still theirs
            stranger.request("GET", "/")
            assert json.loads(stranger.getresponse().read())["pid"]
        assert server.log.count("Booting worker") == 1
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_duplicate_is_one_more_descriptor_of_the_connection(tmp_path: Path, version: str) -> None:
    """It writes, and its close leaves the connection to the server."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        server.ask()
        received = everything(request(server.port, "/dup"))
        assert received.startswith(b"HTTP/1.1 103")
        assert b"HTTP/1.1 200 OK" in received
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_forked_child_that_closes_the_socket_leaves_the_response_alone(
    tmp_path: Path, version: str
) -> None:
    """The child's copy is the child's."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        server.ask()
        assert everything(request(server.port, "/fork")).startswith(b"HTTP/1.1 200 OK")
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_parked_connections_number_closed_by_foreign_code_is_not_the_next_clients(
    tmp_path: Path, version: str
) -> None:
    """The server's poller still knows it. Stock: the worker dies, or the next clients lose their connections."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server, contextlib.ExitStack() as kept:
        server.ask()
        for _ in range(20):
            watched, thief, innocent = (HTTPConnection("127.0.0.1", server.port, timeout=8) for _ in range(3))
            for client, path in ((watched, "/watch"), (thief, "/steal"), (innocent, "/"), (innocent, "/")):
                kept.callback(client.close)
                client.request("GET", path)
                assert client.getresponse().read()
        assert server.log.count("Booting worker") == 1
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_101_in_pieces_after_interim_responses_is_an_upgrade(tmp_path: Path, version: str) -> None:
    """Row 8 for applications that say more than the status line."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        server.ask()
        assert everything(request(server.port, "/late-101")).endswith(b"101 Switching Protocols\r\n\r\nFRAME")
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_file_wrapper_without_seek_is_served(tmp_path: Path, version: str) -> None:
    """The whole file, and no error."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        server.ask()
        body = everything(request(server.port, "/no-seek")).partition(b"\r\n\r\n")[2]
        assert body == APP.encode()
        assert "Traceback" not in server.log


@EVERY_VERSION
def test_a_listener_is_not_inherited_by_what_a_worker_executes(tmp_path: Path, version: str) -> None:
    """Or else a child would keep the port after gunicorn's end."""
    with gunicorn(tmp_path, *HANGUP, app=APP, version=version) as server:
        assert all(server.ask()["closed_on_exec"])


def test_descriptors_that_the_application_hoards_do_not_stop_the_service(tmp_path: Path) -> None:
    """With nothing left but the reserve, and nothing of hangup's open, clients are still served."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, before[1]))
    with contextlib.ExitStack() as running:
        running.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        server = running.enter_context(gunicorn(tmp_path, *HANGUP[:-1], "16", app=APP, version="27.0.1"))
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        server.ask()
        everything(request(server.port, "/hoard"))
        for _ in range(4):
            answer = json.loads(everything(request(server.port, "/")).partition(b"\r\n\r\n")[2])
            assert answer["held"] > 20
