"""What servers print about clients without logging it: brought before the filter, or printed as ever.

Promised: only what the table takes for a client that left is kept from its place. All else goes on to what
stood there before, unchanged, an application's own hook included.

How: replacements for other people's functions, made here, put in place by ``_install.py`` alone.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable

from .filter import hear


def excepthook(stock: Callable[[Any], object]) -> Callable[[Any], None]:
    """For ``threading.excepthook``."""

    @functools.wraps(stock)
    def excepthook(args: Any) -> None:
        name = "" if args.thread is None else args.thread.name
        if not hear("hangup.threads", f"Exception in thread {name}", args.exc_value, args.exc_traceback):
            stock(args)

    return excepthook


def handle_error(stock: Callable[..., object]) -> Callable[..., None]:
    """For gevent's ``Hub.handle_error``: the errors of greenlets, and of watchers' callbacks."""

    @functools.wraps(stock)
    def handle_error(self: Any, context: Any, kind: Any, value: Any, trace: Any) -> None:
        # without a context the error is the loop's own, and ends it
        if (
            context is not None
            and isinstance(value, Exception)
            and hear("hangup.gevent", f"{type(context).__name__} failed", value, trace)
        ):
            return
        stock(self, context, kind, value, trace)

    return handle_error


def handle_client_error(stock: Callable[..., Any]) -> Callable[..., Any]:
    """For the ``_handle_client_error`` of pywsgi's handler: errors of reading a request. None closes the connection."""

    @functools.wraps(stock)
    def _handle_client_error(self: Any, failure: Exception) -> Any:
        if hear("hangup.gevent", "a request was not read", failure):
            return None
        return stock(self, failure)

    return _handle_client_error


def squelch(stock: Callable[..., object]) -> Callable[..., None]:
    """For ``squelch_generic_exception`` and ``squelch_timer_exception`` of eventlet's hub."""

    @functools.wraps(stock)
    def squelch(self: Any, *args: Any) -> None:
        _, failure, trace = args[-1]
        if not hear("hangup.eventlet", "Exception in the hub", failure, trace):
            stock(self, *args)

    return squelch


def squelch_exception(stock: Callable[..., object]) -> Callable[..., None]:
    """For ``squelch_exception`` of eventlet's hub, which also gives the descriptor up."""

    @functools.wraps(stock)
    def squelch_exception(self: Any, fileno: int, exc_info: Any) -> None:
        _, failure, trace = exc_info
        if hear("hangup.eventlet", "Exception in the hub", failure, trace):
            self.remove_descriptor(fileno)
        else:
            stock(self, fileno, exc_info)

    return squelch_exception


def write(stock: Callable[..., object]) -> Callable[..., None]:
    """For ``LoggerFileWrapper.write`` of ``eventlet.wsgi``."""

    @functools.wraps(stock)
    def write(self: Any, msg: str, *args: Any) -> None:
        if sys.exc_info()[1] is None or not hear("hangup.eventlet", msg, None):
            stock(self, msg, *args)

    return write


class Errors:
    """For the stream that eventlet's WebSocket writes to: everything else is the stream's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> Any:
        """Nothing, if the error that is being handled is a client's."""
        return len(text) if hear("hangup.eventlet", text, None) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        """The stream's own."""
        return getattr(self._stream, name)
