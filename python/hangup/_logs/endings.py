"""Exceptions that say nothing but that a client's connection is over, whatever they passed through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .places import is_below
from .rows import Ending
from .table import TABLE

if TYPE_CHECKING:
    from types import FrameType, TracebackType

#: Exceptions that mean the same on every logger of the table.
ENDINGS: tuple[Ending, ...] = (
    Ending(
        "uvicorn.protocols.utils.ClientDisconnected",
        ("uvicorn.protocols",),
        "the application sends to a client that left (uvicorn, ASGI 2.4)",
    ),
    Ending(
        "gunicorn.asgi.protocol.ClientDisconnected",
        ("gunicorn.asgi",),
        "the same under gunicorn's asgi worker, HTTP/2",
    ),
    Ending(
        "gunicorn.asgi.websocket.WebSocketDisconnected",
        ("gunicorn.asgi",),
        "the same under gunicorn's asgi worker, WebSocket",
    ),
    Ending(
        "builtins.RuntimeError",
        ("gunicorn.asgi.websocket",),
        "the same before gunicorn 26; after a close of its own it is the application's bug",
        says="WebSocket closed",
        provided="close_code",
    ),
    Ending(
        "builtins.RuntimeError",
        ("gunicorn.asgi",),
        "the same with uvloop, before gunicorn has noticed",
        says="unable to perform operation on <TCPTransport closed=True",
    ),
    Ending(
        "builtins.AssertionError",
        ("websockets.legacy.protocol",),
        "the client's close frame crosses a send that waits: `data transfer failed`",
        function="_drain_helper",
    ),
    Ending(
        "starlette.requests.ClientDisconnect",
        ("starlette.requests",),
        "the client left while the application read its request",
    ),
    Ending(
        "starlette.websockets.WebSocketDisconnect",
        ("starlette.websockets",),
        "the client left while the application waited for its next message",
    ),
    Ending(
        "django.http.request.UnreadablePostError",
        ("django.http.request",),
        "the client left in the middle of an upload",
    ),
    Ending(
        "django.core.exceptions.RequestAborted",
        ("django.core.handlers.asgi",),
        "the client left before its request was read",
    ),
    Ending(
        "autobahn.exception.Disconnected",
        ("daphne.ws_protocol",),
        "the application sends to a client that left (daphne); after a close of its own it is the application's bug",
        unless="closedByMe",
    ),
    Ending(
        "geventwebsocket.exceptions.WebSocketError",
        ("geventwebsocket",),
        "the application sends to a client that left (gevent-websocket)",
        says="Socket is dead",
    ),
    Ending(
        "builtins.KeyError",
        ("engineio.base_server",),
        "the session that is used ended a moment ago (python-engineio)",
        says="Session is disconnected",
    ),
)

_BY_TYPE: dict[str, list[Ending]] = {}
for _ending in ENDINGS:
    _BY_TYPE.setdefault(_ending.type, []).append(_ending)
NAMES = frozenset(ending.type.rpartition(".")[2] for ending in ENDINGS)


def is_ending(failure: BaseException, trace: TracebackType | None, logger: str) -> bool:
    """Whether it is one of :data:`ENDINGS`, raised on a client's connection."""
    kind = type(failure)
    candidates = _BY_TYPE.get(f"{kind.__module__}.{kind.__qualname__}", ())
    return any(_ends(ending, failure, trace, logger) for ending in candidates)


def _ends(ending: Ending, failure: BaseException, trace: TracebackType | None, logger: str) -> bool:
    if logger not in TABLE or (ending.says and not _text(failure).startswith(ending.says)):
        return False
    raiser: FrameType | None = None
    function = ""
    while trace is not None:
        frame = trace.tb_frame
        module = frame.f_globals.get("__name__")
        if is_below(module, ending.raised_by):
            raiser = frame
        elif not is_below(module, TABLE[logger].carriers):
            raiser = None
        function = frame.f_code.co_name
        trace = trace.tb_next
    if raiser is None or ending.function not in ("", function):
        return False
    connection = raiser.f_locals.get("self") if ending.unless or ending.provided else None
    if ending.unless and getattr(connection, ending.unless, False):
        return False
    return not ending.provided or bool(getattr(connection, ending.provided, False))


def _text(failure: BaseException) -> str:
    """What it was raised with. Its ``str()`` may be anybody's code."""
    said = failure.args[-1] if failure.args else ""
    return said if isinstance(said, str) else ""
