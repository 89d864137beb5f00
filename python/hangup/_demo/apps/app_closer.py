"""Takes the client's socket, closes it and answers as if nothing had happened, as WebSocket libraries do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_taken = 0
_lock = threading.Lock()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Close the socket of a request for ``/take``; answer every request with how many were taken so far."""
    global _taken
    if environ["PATH_INFO"] == "/take":
        if "gunicorn.sock" in environ:
            # gevent's pywsgi worker names it differently, and reads through a file that keeps the socket
            # open.
            environ["wsgi.input"].rfile.close()
            environ["gunicorn.sock"].close()
        else:
            environ["gunicorn.socket"].close()
        with _lock:
            _taken += 1
    body = str(_taken).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
