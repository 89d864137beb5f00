"""Hangs up on kept-alive connections from another thread.

``/watch?NAME`` remembers the connection it came on; ``/hang-up?NAME`` waits until gunicorn has parked that
connection for its next request, then has another thread close it. Any other path answers "hello".
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_watched: dict[str, Any] = {}
_PARKED_WITHIN_SECONDS = 2.0


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Watch a connection, hang up on one, or just answer."""
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = b"hello\n"
    if path == "/watch":
        _watched[name] = environ["gunicorn.socket"]
    elif path == "/hang-up":
        body = b"parked\n" if _hang_up(_watched.pop(name), environ["demo.worker"].poller) else b"not parked\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _hang_up(sock: Any, poller: Any) -> bool:
    end = time.monotonic() + _PARKED_WITHIN_SECONDS
    while not (parked := _parked(sock, poller)) and sock.fileno() >= 0 and time.monotonic() < end:
        time.sleep(0.001)
    closer = threading.Thread(target=sock.close, name="watchdog")
    closer.start()
    closer.join(5.0)
    return parked


def _parked(sock: Any, poller: Any) -> bool:
    number = sock.fileno()
    if number < 0:
        return False
    key = poller.get_map().get(number)
    # An entry whose own socket has been closed since is not this connection.
    return key is not None and key.fileobj.fileno() == number
