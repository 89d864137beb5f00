"""Which Engine.IO session is on which descriptor.

How
    Nothing is kept for it but the servers: the books are engineio's, python-socketio's and the dispatcher's, read
    when asked. Only of an ``AsyncServer``'s sessions it is noted on which WebSocket they are: the books do not say.

Not promised
    The descriptors of WebSockets that an ASGI server keeps: of those sessions only silence is seen.
"""

from __future__ import annotations

import inspect
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional


class Held(NamedTuple):
    """What a descriptor is to Socket.IO: see :class:`hangup.fds.Descriptor`."""

    sid: Optional[str] = None
    sids: tuple[tuple[str, str], ...] = ()
    rooms: tuple[tuple[str, Any], ...] = ()


NOBODY = Held()

_servers: weakref.WeakSet[Any] = weakref.WeakSet()
#: The WebSocket (a :class:`._websocket.member.Member`) of an ``engineio.AsyncSocket``, if it is native.
_members: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def know(server: Any) -> None:
    """Of a ``socketio.Server``."""
    _servers.add(server)


def servers() -> list[Any]:
    """Those that are known."""
    return list(_servers)


def noting(stock: Any) -> Any:
    """Stands in for the ``websocket`` of an ``engineio.AsyncServer``'s parts, and notes where sessions are."""

    def websocket(handler: Any, server: Any) -> Any:
        serve = stock(handler, server)

        async def __call__(environ: dict[str, Any]) -> Any:
            extensions = environ.get("asgi.scope", {}).get("extensions") or {}
            member = extensions.get("hangup.websocket")
            if member is not None:
                _members[handler.__self__] = member
            return await serve(environ)

        return __call__

    return websocket


def by_serial() -> dict[int, Held]:
    """The sessions on native WebSockets, by their descriptors' serials."""
    held = {}
    for server in list(_servers):
        for sid, session in list(server.eio.sockets.items()):
            native = _native(session)
            if native is not None:
                held[native.serial] = Held(sid, *_memberships(server.manager, sid))
    return held


def held(server: Any, eio_sid: str) -> Held:
    """What a session of a ``socketio.Server`` is to Socket.IO."""
    return Held(eio_sid, *_memberships(server.manager, eio_sid))


def without_native() -> Iterator[tuple[Any, str, Any]]:
    """Sessions that are on no native WebSocket, polling ones among them: their server, their sid, themselves."""
    for server in list(_servers):
        for sid, session in list(server.eio.sockets.items()):
            if not session.closed and _native(session) is None:
                yield server, sid, session


def polling() -> Iterator[tuple[Any, str, Any]]:
    """Of them, those whose clients poll a server with threads or a hub."""
    for server, sid, session in without_native():
        if not session.upgraded and not is_async(session):
            yield server, sid, session


def _memberships(manager: Any, eio_sid: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    sids, rooms = [], []
    for namespace in list(manager.get_namespaces()):
        sid = manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is not None:
            sids.append((namespace, sid))
            known = getattr(manager, "_rooms_of", None)
            there = _rooms(manager, sid, namespace) if known is None else known.get((namespace, sid), ())
            rooms += [(namespace, room) for room in list(there) if room not in (None, sid)]
    return tuple(sids), tuple(rooms)


def _rooms(manager: Any, sid: str, namespace: str) -> list[Any]:
    """As ``get_rooms()`` says, which fails where others enter and leave meanwhile."""
    there = manager.rooms.get(namespace, {}).copy()  # in one step, where a list of pairs is made in many
    return [room for room, members in there.items() if sid in members]


def _native(session: Any) -> Any:
    """The native WebSocket that a session's packets go to."""
    if _is_ours(session):
        return getattr(session.queue, "_native", None)
    member = _members.get(session) if session.upgraded else None
    return None if member is None else member.native


def _is_ours(session: Any) -> bool:
    return hasattr(type(session.queue), "is_attached")


def is_async(session: Any) -> bool:
    """Whether it is one of an ``engineio.AsyncServer``."""
    return inspect.iscoroutinefunction(session.send)


def without_fd() -> Iterator[tuple[str, float, str]]:
    """Sessions that have no way to their client: their sids, for how many seconds (0 if unknown), and why."""
    now = time.time()
    for server in list(_servers):
        for sid, session in list(server.eio.sockets.items()):
            if session.closed:
                continue
            native = _native(session)
            if native is not None and native.ending is not None:
                yield sid, 0.0, "its WebSocket is over, and the session is not"
            elif (
                native is None and session.last_ping is not None and (_is_ours(session) or is_async(session))
            ):
                late = now - session.last_ping - server.eio.ping_timeout
                if late > 0:
                    does_not = "answer" if session.upgraded else "poll"
                    yield sid, late, f"its client does not {does_not}, and the session was not ended"


def without_sid() -> Iterator[tuple[int, str]]:
    """Native WebSockets of Engine.IO whose session is gone: their serials, and the sids that they had."""
    dispatch = sys.modules.get("hangup._websocket.dispatch")
    for dispatcher in dispatch.started() if dispatch is not None else ():
        for connection in dispatcher.connections():
            session = getattr(connection, "session", None)
            if session is None or connection.native.ending is not None:
                continue
            if _is_gone(session):
                yield connection.native.serial, session.sid
    for session, member in list(_members.items()):
        if session.upgraded and not member.is_over and _is_gone(session):
            yield member.native.serial, session.sid


def _is_gone(session: Any) -> bool:
    return session.closed or session.server.sockets.get(session.sid) is not session
