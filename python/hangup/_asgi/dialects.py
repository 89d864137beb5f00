"""How each ASGI server says, out of ``send``, that its client left.

Promised
    Only what a server, or the transport below it, raised about its client is recognised. An ``OSError`` or a
    ``RuntimeError`` of anybody else, of a middleware around us for instance, is not.

How
    By the type, where the server has one for it; by the place and the text, where it has none; a broken connection by
    all the places it came through.
"""

from __future__ import annotations

from typing import Optional

#: Types that mean nothing else: where they are defined, and their names.
_TYPES = {
    ("uvicorn.protocols.utils", "ClientDisconnected"),  # from 0.27 on
    ("websockets.exceptions", "ConnectionClosed"),  # uvicorn before that
    ("gunicorn.asgi.protocol", "ClientDisconnected"),  # 27
    ("autobahn.exception", "Disconnected"),  # daphne
    ("hangup.exceptions", "PeerGone"),  # a Hangup around this one
}

#: What frameworks raise into an application that goes on with a client of which they were told that it left.
_FRAMEWORKS = {
    ("starlette.websockets", "WebSocketDisconnect"),
    ("starlette.requests", "ClientDisconnect"),
}

#: Elsewhere: the module that raises, the type, and what its text contains.
_TEXTS = (
    ("gunicorn.asgi.websocket", "RuntimeError", "WebSocket closed"),  # 24 and 25
    ("uvloop", "RuntimeError", "the handler is closed"),  # what gunicorn, and others, write through
    ("wsproto", "LocalProtocolError", "ConnectionState.CLOSED"),  # uvicorn before 0.27
    ("wsproto", "LocalProtocolError", "ConnectionState.REMOTE_CLOSING"),
)

#: Servers, and what they write through. What was raised in these alone is about their client.
_TRANSPORTS = {
    "anyio",
    "asyncio",
    "autobahn",
    "daphne",
    "granian",
    "gunicorn",
    "h11",
    "h2",
    "hypercorn",
    "socket",
    "ssl",
    "twisted",
    "uvicorn",
    "uvloop",
    "websockets",
    "wsproto",
}
_BROKEN = (BrokenPipeError, ConnectionAbortedError, ConnectionResetError)


def is_departure(error: BaseException) -> bool:
    """Whether an exception that was caught right at a server's ``send`` says that the client is gone."""
    if _is_among(_TYPES, error):
        return True
    places = _places(error)
    if not places:
        return False
    if isinstance(error, _BROKEN):
        return all(_root(place) in _TRANSPORTS for place in places)
    name, text = type(error).__name__, str(error)
    return any(
        (places[-1] == module or places[-1].startswith(f"{module}.")) and name == kind and part in text
        for module, kind, part in _TEXTS
    )


def is_passed_on(error: BaseException) -> bool:
    """Whether a framework raised it because it was told of a disconnect."""
    return _is_among(_FRAMEWORKS, error)


def close_code(error: BaseException) -> Optional[int]:
    """The code of the client's close frame, where the exception has it."""
    code = getattr(getattr(error, "rcvd", None), "code", None)
    return code if isinstance(code, int) else None


def _is_among(types: set[tuple[str, str]], error: BaseException) -> bool:
    return any((kind.__module__, kind.__qualname__) in types for kind in type(error).__mro__)


def _places(error: BaseException) -> list[str]:
    """The modules it came through, the first of which is not the one that caught it."""
    places = []
    trace = None if error.__traceback__ is None else error.__traceback__.tb_next
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("hangup._asgi."):
            places.append(module)
        trace = trace.tb_next
    return places


def _root(module: str) -> str:
    return module.partition(".")[0]
