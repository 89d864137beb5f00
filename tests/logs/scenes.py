"""What the applications of the capture do: bugs of every kind, and what makes clients leave visibly."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import threading
import time
import urllib.request
from collections.abc import Iterator


def sockets() -> Iterator[tuple[int, socket.socket]]:
    """The numbers of this process's TCP sockets, each with a duplicate that is closed after its turn."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            number = os.dup(int(name))
        except OSError:
            continue  # it was the directory's
        with socket.socket(fileno=number) as duplicate:
            if duplicate.family == socket.AF_INET and duplicate.type & socket.SOCK_STREAM:
                yield int(name), duplicate


def hurry(milliseconds: int = 250) -> None:
    """Has the kernel give up clients of this process that take nothing, now and those to come, after this time."""
    for _, duplicate in sockets():
        duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def database() -> bytes:
    """A connection that its other end resets."""
    ours, theirs = socket.socketpair()
    try:
        ours.sendall(b"SELECT 1")
        theirs.close()
        return ours.recv(1)
    finally:
        ours.close()


def no_answer() -> None:
    raise TimeoutError(errno.ETIMEDOUT, "the database does not answer")


def file() -> bytes:
    with open("/nonexistent/report.csv", "rb") as report:
        return report.read()


def mount() -> None:
    raise OSError(errno.ETIMEDOUT, "Connection timed out", "/mnt/share/report.csv")


def upstream() -> bytes:
    """An HTTP server that resets its client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            accepted, _ = server.accept()
            accepted.recv(10)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            accepted.close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=5).read()
        finally:
            thread.join()


def broken_upstream() -> None:
    """The same, as the driver of a database tells it: raised by Python code, without an errno."""
    raise ConnectionResetError("Connection lost")


def bug() -> None:
    raise ValueError("a bug in a handler")


def close_twice(peer: tuple[str, int]) -> None:
    """Closes the client's connection under its server, by its number."""
    wanted = []
    for number, duplicate in sockets():
        with contextlib.suppress(OSError):
            if duplicate.getpeername() == peer:
                wanted.append(number)
    for number in wanted:
        os.close(number)
    time.sleep(0.05)  # gevent's close waits for its loop to come round


BUGS = {
    "bug": bug,
    "database": database,
    "no_answer": no_answer,
    "file": file,
    "mount": mount,
    "upstream": upstream,
    "broken_upstream": broken_upstream,
}
