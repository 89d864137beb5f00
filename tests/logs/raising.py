"""Exceptions with tracebacks through modules of given names, and records of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

SERVER_LOG = "gunicorn.error"
HANDLE, HANDLE_REQUEST = (
    ("gunicorn.workers.gthread", "handle"),
    ("gunicorn.workers.gthread", "handle_request"),
)
RERAISE, WRITE = ("gunicorn.util", "reraise"), ("gunicorn.util", "write")
RESPONSE_WRITE = ("gunicorn.http.wsgi", "write")
FILE_WRAPPER = ("gunicorn.http.wsgi", "__getitem__")
IN_SERVER = (HANDLE, HANDLE_REQUEST, RERAISE, HANDLE_REQUEST, RESPONSE_WRITE, WRITE)
UNDER_GEVENT = (*IN_SERVER, ("gevent._socket3", "sendall"))
UNDER_HANGUP = (*IN_SERVER, ("hangup._socket", "sendall"))

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
APP_MODULES = [
    "app",
    "__main__",
    "shop.views",
    "gunicorn_app",
    "socketserver",
    "geventhttpclient",
    "pymysql.connections",
]
Frame = tuple[str, str]


E = TypeVar("E", bound=Exception)


def raised_through(error: E, *frames: Frame) -> E:
    """``error`` as it is caught in the first of ``frames`` when the last one raises it."""
    inner: Callable[[], None] | None = None
    for module, function in reversed(frames):
        scope = {"__name__": module, "_error": error, "_inner": inner}
        exec(f"def {function}():\n    if _inner is None: raise _error\n    _inner()\n", scope)
        inner = scope[function]  # type: ignore[assignment]
    assert inner is not None
    try:
        inner()
    except type(error) as caught:
        trace = caught.__traceback__
        return caught.with_traceback(trace.tb_next if trace else None)
    raise AssertionError("nothing was raised")


def record_of(
    error: BaseException, level: int = logging.ERROR, logger: str = SERVER_LOG
) -> logging.LogRecord:
    """What ``logger.exception("Socket error ...")`` makes of ``error``."""
    info = (type(error), error, error.__traceback__)
    return logging.LogRecord(logger, level, __file__, 1, "Socket error processing request.", (), info)
