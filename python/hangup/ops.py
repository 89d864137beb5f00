"""``/metrics``, ``/livez`` and ``/readyz``, in an application or in a process of their own.

In an application: :func:`application` is WSGI, :func:`asgi_application` ASGI; mount them where only your own see them.
Beside gunicorn, in one line: ``HANGUP_METRICS=127.0.0.1:9117``, or ``hangup.gunicorn.install(globals(), metrics=...)``.

Promised
    * ``/metrics`` is Prometheus's text format: the totals of the family, and what each of its processes has open.
    * ``/livez`` is 200 while the master runs (in an application: while this process answers), else 503.
    * ``/readyz`` is 200 while a worker serves, else 503.
    * Beside gunicorn nobody is hindered: it is a process, not a thread of the master, which forks; it reads memory
      that the workers write anyway, and ends with the master.
    * A port alone is one of the loopback interface.

Not promised
    Neither passwords nor TLS: there is no secret in it, but whoever may connect can see how busy you are. The process
    is not started again if somebody kills it.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Optional

from . import _exposition
from .metrics import read

__all__ = ["application", "asgi_application", "start"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application."""
    status, body = _answer(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
    headers = [("Content-Type", _TEXT), ("Content-Length", str(len(body)))]
    start_response(f"{status} {_REASONS[status]}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


async def asgi_application(
    scope: dict[str, Any], _receive: Callable[..., Any], send: Callable[..., Any]
) -> None:
    """An ASGI application."""
    if scope["type"] != "http":
        raise ValueError(f"hangup.ops serves http, not {scope['type']}")
    path = scope["path"][len(scope.get("root_path", "")) :] or scope["path"]
    status, body = _answer(scope["method"], path)
    headers = [(b"content-type", _TEXT.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def start(address: str) -> None:
    """Starts the process beside the calling one, which is a gunicorn master.

    Args:
        address: ``port``, ``host:port``, ``[host]:port`` or ``unix:path``.
    """
    _parsed(address)  # complains here, where it is seen
    command = [sys.executable, "-m", "hangup.ops", address, str(os.getpid())]
    # Its own session: a terminal's Ctrl-C is the master's to answer. Reaped by the master, as all its children are.
    _started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True))


#: Kept, because a subprocess that is forgotten while it runs is warned of.
_started: list[subprocess.Popen[bytes]] = []


def _answer(method: str, path: str, master: Optional[int] = None) -> tuple[int, bytes]:
    if method not in ("GET", "HEAD"):
        return 405, b"GET or HEAD\n"
    if path == "/livez":
        return (200, b"ok\n") if master is None or _runs(master) else (503, b"the master does not run\n")
    if path not in ("/metrics", "/readyz"):
        return 404, b"/metrics, /livez, /readyz\n"
    try:
        family = read(master)
    except (LookupError, OSError, NotImplementedError) as error:
        return 503, f"{error}\n".encode()
    if path == "/metrics":
        return 200, _exposition.text(family).encode()
    serving = len(family.serving)
    return (200, f"ok: workers that serve: {serving}\n".encode()) if serving else (503, b"no worker serves\n")


def _runs(pid: int) -> bool:
    """Whether it exists, and is neither stopped nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZXTt"
    except OSError:
        return False


def _parsed(address: str) -> tuple[socket.AddressFamily, Any]:
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[len("unix:") :]
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is neither unix:path nor ends with a port")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # of a client that says nothing
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Also HEAD."""
        status, body = _answer(self.command, self.path.partition("?")[0], self.server.master)
        self.send_response(status)
        self.send_header("Content-Type", _TEXT)
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
        self.address_family, place = _parsed(address)
        if self.address_family == socket.AF_UNIX:
            _remove_stale(place)
        super().__init__(place, _Handler)

    def server_bind(self) -> None:
        """Without the reverse lookup of http.server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", 0

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
