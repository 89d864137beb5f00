"""``/metrics``, ``/livez`` and ``/readyz``, in an application or in a process of their own.

In an application: :func:`application` is WSGI, :func:`asgi_application` ASGI; mount them where only your own see them.
Beside gunicorn, in one line: ``HANGUP_METRICS=127.0.0.1:9117``, or ``hangup.gunicorn.install(globals(), metrics=...)``.

Promised
    * ``/metrics`` is Prometheus's text format: the totals of the family, and what each of its processes has open.
    * ``/livez`` is 200 while the master runs (in an application: while this process answers), else 503.
    * ``/readyz`` is 200 while a worker serves, else 503.
    * Beside gunicorn nobody is hindered: it is a process, not a thread of the master, which forks; it reads memory
      that the workers write anyway, and ends with the master. If it is killed, it is started again.
    * A port alone is one of the loopback interface.

Not promised
    Neither passwords nor TLS: there is no secret in it, but whoever may connect can see how busy you are.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, Callable, Optional

from . import _exposition
from .metrics import read

__all__ = ["Beside", "application", "asgi_application"]

#: Seconds from one start of the process beside gunicorn to the next, at least.
AGAIN_AFTER = 5.0

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application."""
    status, body = answer(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
    headers = [("Content-Type", TEXT), ("Content-Length", str(len(body)))]
    start_response(f"{status} {_REASONS[status]}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


async def asgi_application(
    scope: dict[str, Any], _receive: Callable[..., Any], send: Callable[..., Any]
) -> None:
    """An ASGI application."""
    if scope["type"] != "http":
        raise ValueError(f"hangup.ops serves http, not {scope['type']}")
    path = scope["path"][len(scope.get("root_path", "")) :] or scope["path"]
    status, body = answer(scope["method"], path)
    headers = [(b"content-type", TEXT.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class Beside:
    """The process beside the calling one, which is a gunicorn master.

    Args:
        address: ``port``, ``host:port``, ``[host]:port`` or ``unix:path``.
    """

    def __init__(self, address: str) -> None:
        parsed(address)  # complains here, where it is seen
        self.address = address
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        command = [sys.executable, "-m", "hangup._ops_server", self.address, str(os.getpid())]
        # Its own session: a terminal's Ctrl-C is the master's to answer.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def has_ended(self) -> bool:
        """Reaps it, if so."""
        return self._process.poll() is not None

    def revive(self) -> bool:
        """Starts it again if it has ended, unless it was started just now; whether it did.

        Raises:
            OSError: it cannot be started at this time.
        """
        if not self.has_ended() or time.monotonic() - self._started < AGAIN_AFTER:
            return False
        self._start()
        return True


def answer(method: str, path: str, master: Optional[int] = None) -> tuple[int, bytes]:
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


def parsed(address: str) -> tuple[socket.AddressFamily, Any]:
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[len("unix:") :]
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is neither unix:path nor ends with a port")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))
