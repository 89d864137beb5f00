"""The process beside a gunicorn master that serves :mod:`hangup.ops`: ``python -m hangup._ops_server ADDRESS MASTER``.

Promised
    It ends with its master, and takes its Unix socket's file along. While somebody else has the address, it waits.

How
    A module of its own, because of its imports, which the master and its workers need not have.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .ops import TEXT, answer, parsed


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # of a client that says nothing
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Also HEAD."""
        status, body = answer(self.command, self.path.partition("?")[0], self.server.master)
        self.send_response(status)
        self.send_header("Content-Type", TEXT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def address_string(self) -> str:
        """A Unix socket's client has no address."""
        return str(self.client_address)

    def log_message(self, *_: Any) -> None:
        """A scrape is nothing to write home about."""


class _Server(ThreadingHTTPServer):
    """Ends with its master."""

    daemon_threads = True

    def __init__(self, address: str, master: int) -> None:
        self.master = master
        self.address_family, place = parsed(address)
        self._path: str = place if self.address_family == socket.AF_UNIX else ""
        self._inode = -1
        if self._path:
            _remove_stale(self._path)
        super().__init__(place, _Handler)

    def server_bind(self) -> None:
        """Without the reverse lookup of http.server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", 0
        if self._path:
            self._inode = os.lstat(self._path).st_ino

    def server_close(self) -> None:
        """Takes a Unix socket's file away: while it listens, so that nobody else has put one there."""
        with contextlib.suppress(FileNotFoundError):
            if self._inode >= 0 and os.lstat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        super().server_close()

    def service_actions(self) -> None:
        """Called twice a second."""
        if os.getppid() != self.master:
            raise SystemExit(0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left; anything else is told."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _remove_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.lstat(path).st_mode):  # files refuse as well
                os.unlink(path)
        except FileNotFoundError:
            pass


def _serve(address: str, master: int) -> None:
    told = False
    while os.getppid() == master:
        try:
            server = _Server(address, master)
        except OSError as error:  # another master's, which is about to leave, perhaps
            if not told:
                sys.stderr.write(f"hangup: {address}: {error.strerror or error}; trying again\n")
            told = True
            time.sleep(0.5)
            continue
        with server:
            server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
