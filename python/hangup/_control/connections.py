"""What is told of the connections of this process, and who they are to those who close them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from .. import _hangup, _sessions

#: Of :func:`hangup.fds.snapshot`, what is a client's.
KINDS = ("http", "upgraded", "websocket", "socket", "lingering", "arriving")


class Connection(NamedTuple):
    """A client of this worker.

    Attributes:
        row: what is told of it, in what JSON knows; see ``docs/top.md``.
        session: of engineio, if it has one that no native WebSocket ends with.
    """

    row: dict[str, Any]
    session: Any = None


def listed() -> Iterator[Connection]:
    """The clients of this process: those with a descriptor of hangup's, and sessions without one."""
    now = time.time()
    sessions = _sessions.by_serial()
    for line in _hangup.snapshot():
        if line[1] in KINDS:
            yield Connection(_of_descriptor(line, sessions.get(line[-1], _sessions.NOBODY), now))
    for server, sid, session in _sessions.without_native():
        yield Connection(_of_session(server, sid, session, now), session)


def _of_descriptor(line: Any, held: _sessions.Held, now: float) -> dict[str, Any]:
    fd, kind, peer, opened, closing, last_read, last_write, received, sent, queued, tcp, serial = line
    state, rtt, unacked, notsent, silent = tcp or (None, None, None, None, None)
    return {
        "number": serial,
        "fd": fd,
        "kind": kind,
        "transport": "websocket" if kind == "websocket" else None,
        "peer": address(peer),
        "age": round(max(now - opened, 0.0), 3),
        "idle": round(max(now - max(last_read or opened, last_write or opened), 0.0), 3),
        "silent": silent,
        "rtt": rtt,
        "received": received,
        "sent": sent,
        "queued": queued,
        "unacked": unacked,
        "notsent": notsent,
        "state": state,
        "closing": closing,
        **_of_held(held),
    }


def _of_session(server: Any, sid: str, session: Any, now: float) -> dict[str, Any]:
    asked = session.last_ping  # None since it was answered
    unknown = dict.fromkeys(
        ("number", "fd", "age", "idle", "rtt", "received", "sent", "queued", "unacked", "notsent", "state")
    )
    environ = getattr(server, "environ", {}).get(sid, {})
    return {
        **unknown,
        "kind": "session",
        "transport": "websocket" if session.upgraded else "polling",
        "peer": environ.get("REMOTE_ADDR") or None,
        "silent": None if asked is None else round(max(now - asked, 0.0), 3),
        "closing": bool(session.closing),
        **_of_held(_sessions.held(server, sid)),
    }


def _of_held(held: _sessions.Held) -> dict[str, Any]:
    rooms = [[namespace, room if isinstance(room, str) else repr(room)] for namespace, room in held.rooms]
    return {"sid": held.sid, "sids": dict(held.sids), "rooms": rooms}


def address(peer: Any) -> Optional[str]:
    """As it is written: ``127.0.0.1:80``, ``[::1]:80``, or the path of a Unix socket."""
    if isinstance(peer, tuple):
        return f"[{peer[0]}]:{peer[1]}" if ":" in str(peer[0]) else f"{peer[0]}:{peer[1]}"
    if isinstance(peer, bytes):
        peer = peer.decode(errors="backslashreplace")
    return str(peer) if peer else None


def websockets() -> dict[int, Any]:
    """The native WebSockets of this process that are not over, by their serials."""
    found = []
    if dispatch := sys.modules.get("hangup._websocket.dispatch"):
        found += [one.native for dispatcher in dispatch.started() for one in dispatcher.connections()]
    if plain := sys.modules.get("hangup._websocket.plain"):
        found += plain.natives()
    if loop := sys.modules.get("hangup._websocket.loop"):
        found += loop.natives()
    return {native.serial: native for native in found if native.ending is None}
