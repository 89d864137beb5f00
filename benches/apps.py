"""The WSGI applications that are measured. As small as an application can be: the server's share is the most."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable
from typing import Any, Callable

MEGABYTE = 1024 * 1024

_HELLO = b"Hello, world!\n"
_BODY = random.Random(1).randbytes(MEGABYTE)  # zeroes would be one page of the kernel's, seen many times
_FILE = tempfile.NamedTemporaryFile(prefix="hangup-bench-")  # noqa: SIM115  (lives as long as the server)
_FILE.write(_BODY)
_FILE.flush()

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def hello(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A few bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(_HELLO)))])
    return [_HELLO]


def megabyte(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """1 MiB, as one ``bytes`` object."""
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(MEGABYTE))]
    )
    return [_BODY]


def megabyte_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """1 MiB, from a file, by ``wsgi.file_wrapper``."""
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(MEGABYTE))]
    )
    body: Iterable[bytes] = environ["wsgi.file_wrapper"](open(_FILE.name, "rb"))  # noqa: SIM115  (the server closes it)
    return body
