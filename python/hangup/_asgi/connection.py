"""The connection of an HTTP request, ended from above: who returns without completing a response is logged as an error.

How
    What uvicorn and gunicorn call an application with are methods of objects that have the transport, or whose protocol
    has it. daphne, hypercorn and granian log nothing, and end the connection by themselves.

Not promised
    Middleware that puts its own callables in the place of both hides the connection; so does HTTP/2, where it carries
    other requests as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SERVERS = ("uvicorn", "gunicorn")


def abort(*callables: Callable[..., Any]) -> None:
    """Ends it, if it is found: what waits for the client is thrown away, and the server knows that it left."""
    for called in callables:
        owner = getattr(called, "__self__", None)
        if type(owner).__module__.partition(".")[0] not in _SERVERS:
            continue
        for holder in (owner, getattr(owner, "protocol", None)):
            transport = getattr(holder, "transport", None)
            if transport is not None:
                transport.abort()
                return
