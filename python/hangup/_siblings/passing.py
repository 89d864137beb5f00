"""Requests that belong to another worker leave with their connection, before the application sees them.

Promised
    The other worker reads the request as if its client had connected to it: method, target, headers, address of the
    client, and what was read beyond. Further requests of the connection are the other worker's to look at, so that
    those of a proxy, which are about one session after the other, go back and forth.

How
    ``SCM_RIGHTS`` (unix(7)), with the request in front: written anew from its WSGI environ, as the parser has used up
    what was read. Where the server of that connection is told: as with a WebSocket (:mod:`.._websocket.takeover`).

Not promised
    The order and the spelling of headers; two of one name arrive as one, as in the environ (RFC 9110 section 5.3).
"""

from __future__ import annotations

import functools
import os
import urllib.parse
from typing import Any, Callable, Optional

from .. import _hangup
from .._socket import SafeSocket
from .._websocket import longpoll, takeover
from . import CONNECTIONS, owner, secret, send

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

#: What a passed connection begins with: why it comes. In the environ of its request, where it is taken in.
SESSION, HANDSHAKE = b"s", b"h"
CAME_FOR = "hangup.came_for"
#: Headers whose names have an underscore: servers in front of gunicorn send them (its ``forwarder_headers``).
_AS_THEY_ARE = ("HTTP_SCRIPT_NAME", "HTTP_PATH_INFO")
#: gunicorn has answered it.
_ANSWERED = "HTTP_EXPECT"


def routed(application: Application) -> Application:
    """``application``, asked only what this worker has to answer."""

    @functools.wraps(application)
    def route(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        came_for: Optional[bytes] = environ.pop(CAME_FOR, None)
        if came_for is None and "EIO=" in environ.get("QUERY_STRING", ""):
            came_for = _stays(environ)
            if came_for is None:
                return ()
        try:
            return application(environ, start_response)
        finally:
            if came_for == HANDSHAKE:
                _hangup.expect(os.getpid(), -1)  # what it began is counted by now

    return route


def _stays(environ: dict[str, Any]) -> Optional[bytes]:
    """Gives a request to the worker whose it is. None if it is there, and its connection has left this worker; else
    what it came for. A session that is to begin is expected where it will: else a crowd that comes at once would all
    go to the same worker.
    """
    known, own = secret(), os.getpid()
    if known is None:
        return SESSION
    sid = longpoll.sid_of(environ)
    if sid:
        owner_pid = owner.owner_of(sid, known)
        is_there = owner_pid not in (None, own) and _pass(environ, owner_pid or own, SESSION)
        return None if is_there else SESSION
    target = _least_busy(own)
    _hangup.expect(target, 1)
    if target == own:
        return HANDSHAKE
    if _pass(environ, target, HANDSHAKE):
        return None
    _hangup.expect(target, -1)
    _hangup.expect(own, 1)
    return HANDSHAKE


def _least_busy(own: int) -> int:
    """Who has the fewest sessions; this process, if nobody has fewer. Nobody begins with one who leaves."""
    loads = dict(_hangup.loads())
    least = min(loads, key=lambda pid: loads[pid], default=own)
    return least if own not in loads or loads.get(least, 0) < loads[own] else own


def _pass(environ: dict[str, Any], target: int, why: bytes) -> bool:
    try:
        sock, early = takeover.ahead(environ)
    except takeover.Declined:
        return False
    if not isinstance(sock, SafeSocket):
        return False
    with sock._pin() as fd:
        if not send(target, CONNECTIONS, why + request(environ) + early, fd):
            return False
    os.close(takeover.leave(environ).fd)
    _hangup.tally("connections_passed")
    return True


def request(environ: dict[str, Any]) -> bytes:
    """The head of a request, as its client could have sent it."""
    lines = [f"{environ['REQUEST_METHOD']} {_target(environ)} {environ['SERVER_PROTOCOL']}"]
    if "PROXY_PROTOCOL" in environ:
        who = ("PROXY_PROTOCOL", "REMOTE_ADDR", "PROXY_ADDR", "REMOTE_PORT", "PROXY_PORT")
        lines.insert(0, " ".join(["PROXY", *(str(environ[name]) for name in who)]))
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            lines.append(f"{key.replace('_', '-')}: {value}")
        elif key in _AS_THEY_ARE:
            lines.append(f"{key[5:]}: {value}")
        elif key.startswith("HTTP_") and key != _ANSWERED:
            lines.append(f"{key[5:].replace('_', '-')}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _target(environ: dict[str, Any]) -> str:
    raw: Optional[str] = environ.get("RAW_URI")
    if raw:
        return raw
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return f"{urllib.parse.quote(path.encode('latin-1'))}?{environ['QUERY_STRING']}"
