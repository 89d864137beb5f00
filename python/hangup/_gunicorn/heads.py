"""Requests on a connection that is kept alive, whose head arrives slowly: they take no thread of a gthread worker.

Promised
    A thread gets a connection when the head of its next request is there, whole. Until then ``keepalive`` is its limit.

How
    The head stays in the kernel's buffer, and the worker's poller is told of more than what was seen (``SO_RCVLOWAT``).
    The listener does the same with the first request of a connection (``crates/hangup-core/src/arrivals.rs``).

Not promised
    Unix sockets, whose clients are proxies: a poller cannot be told. A body that arrives slowly is the application's.
"""

from __future__ import annotations

import socket
from typing import Any

#: Bytes of a head that are waited for.
LONGEST = 32 * 1024
END = b"\r\n\r\n"


def is_here(conn: Any) -> bool:
    """Whether a thread would not have to wait for the head of this connection's next request.

    Args:
        conn: gunicorn's ``TConn``, which the poller found readable.
    """
    sock = conn.sock
    ahead = _read_ahead(conn)
    if END in ahead:
        return True
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or getattr(conn, "is_http2", False):
            return True
        head = sock.recv(LONGEST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        whole = (
            not head or len(head) >= LONGEST or END in ahead[-3:] + head or not (ahead or head[:1].isalpha())
        )
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 if whole else len(head) + 1)
    except BlockingIOError:
        return False
    except OSError:  # the client, or the application, has closed: the server finds out in its own way
        return True
    return whole


def _read_ahead(conn: Any) -> bytes:
    """What the parser has read of it already, behind the request before."""
    unreader = getattr(conn.parser, "unreader", None)
    ahead: bytes = b"" if unreader is None else unreader.buf.getvalue()
    return ahead


def is_cut_short(conn: Any) -> bool:
    """Whether the parser has read a part of the next request, and the rest is not here."""
    return conn.initialized and bool(_read_ahead(conn)) and not is_here(conn)
