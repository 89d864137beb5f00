"""A download through ``wsgi.file_wrapper``, and a watchdog thread that hangs up on a client that is too slow.

``/file`` sends ``$DEMO_DIRECTORY/download`` on a socket with a timeout; ``/hang-up`` has another thread
close that socket; any other path answers ``$DEMO_DIRECTORY/page``.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_DIRECTORY = Path(os.environ["DEMO_DIRECTORY"])
_downloading: list[Any] = []


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send the file, hang up on whoever gets it, or send the page."""
    if environ["PATH_INFO"] == "/file":
        return _download(environ, start_response)
    if environ["PATH_INFO"] == "/hang-up":
        while _downloading:
            closer = threading.Thread(target=_downloading.pop().close, name="watchdog")
            closer.start()
            closer.join(5.0)
        body = b"done\n"
    else:
        body = (_DIRECTORY / "page").read_bytes()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _download(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    sock = environ["gunicorn.socket"]
    sock.settimeout(30.0)
    _downloading.append(sock)
    path = _DIRECTORY / "download"
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(path.stat().st_size))],
    )
    wrapper = environ["wsgi.file_wrapper"]
    wrapped: Iterable[bytes] = wrapper(path.open("rb"), 65536)
    return wrapped
