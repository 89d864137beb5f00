"""A WSGI application of the capture: /endless, /close_twice, /thread/<bug>, and a path for each bug."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import recorder
import scenes


def endless() -> Iterable[bytes]:
    while True:
        yield bytes(1 << 16)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"].strip("/")
    if path == "endless":
        scenes.hurry()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return endless()
    if path == "close_twice":
        scenes.close_twice((environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])))
    elif path.startswith("thread/"):
        threading.Thread(target=scenes.BUGS[path[7:]]).start()
    elif path in scenes.BUGS:
        scenes.BUGS[path]()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"fine"]


recorder.start()
