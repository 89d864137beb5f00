"""A request that outlives its worker's grace period and then writes files.

``/late`` waits until ``$DEMO_DIRECTORY/go`` exists, then opens some files there, as an application opens a
report or a log, and keeps them open as long as the process lives. Any other path answers "hello".
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_DIRECTORY = Path(os.environ["DEMO_DIRECTORY"])
_GO_WITHIN_SECONDS = 20.0
DATA = b"DATA"
# More than gunicorn closes at its exit, so that one of them gets the number the stray byte goes to.
FILES = 12

_open: list[IO[bytes]] = []


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Wait and write files, or just answer."""
    if environ["PATH_INFO"] == "/late":
        end = time.monotonic() + _GO_WITHIN_SECONDS
        while not (_DIRECTORY / "go").exists() and time.monotonic() < end:
            time.sleep(0.005)
        for index in range(FILES):
            file = (_DIRECTORY / f"report-{index}").open("wb", buffering=0)
            file.write(DATA)
            _open.append(file)
    body = b"hello\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
