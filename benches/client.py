"""The load client for machines without wrk: ``python -m benches.client PORT CONNECTIONS SECONDS``.

Prints ``[answers, seconds]``. It trusts the server's framing as far as a client must: a status line with 200 and a
Content-Length; anything else ends it with a message. It costs several times what wrk costs, but on a
core of its own it is still faster than a Python server.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CHUNK = 1 << 20


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = b""
        self._left = 0

    def ask(self) -> None:
        """Sends the request."""
        self.socket.sendall(_REQUEST)

    def take(self, scratch: memoryview) -> bool:
        """Receives what is there. True if that completes an answer."""
        count = self.socket.recv_into(scratch)
        if count == 0:
            raise SystemExit("the server closed a kept-alive connection")
        if self._left == 0:
            self._head += bytes(scratch[:count])
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            length = _LENGTH.search(self._head, 0, end + 2)
            if not self._head.startswith(b"HTTP/1.1 200") or length is None:
                raise SystemExit(f"not an answer: {self._head[:200]!r}")
            count = len(self._head) - end - 4
            self._left, self._head = int(length.group(1)), b""
        self._left -= count
        if self._left < 0:
            raise SystemExit("more bytes than announced")
        return self._left == 0


def main(port: int, connections: int, seconds: float) -> None:
    """Makes load, and prints what came of it."""
    poller, scratch = select.epoll(), memoryview(bytearray(_CHUNK))
    opened = {}
    for _ in range(connections):
        connection = Connection(port)
        opened[connection.socket.fileno()] = connection
        poller.register(connection.socket, select.EPOLLIN)
        connection.ask()
    answers, begin = 0, time.perf_counter()
    end = begin + seconds
    while time.perf_counter() < end:
        for number, _ in poller.poll(1.0):
            connection = opened[number]
            if connection.take(scratch):
                answers += 1
                connection.ask()
    sys.stdout.write(json.dumps([answers, time.perf_counter() - begin]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
