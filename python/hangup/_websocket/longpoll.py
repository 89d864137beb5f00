"""Long polls that wait without a thread of their server.

A poll of Engine.IO waits in a thread of its server until there is something to send. Where threads are few, the polls
of some clients keep out the very requests that would end them: the upgrades.

Promised
    At most half of a worker's threads wait in polls; a sync worker's never does. Further polls leave the server with
    their connection, and are answered when there is something to send, by the same code, with the same status and
    headers.

Not promised
    WSGI middleware outside of Engine.IO does not see the response of a poll that left. Its connection is closed after
    the response. Hubs are left alone: there a poll costs a greenlet.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import threading
from typing import Any, Callable
from urllib.parse import parse_qs

from .._socket import SafeSocket
from . import takeover

logger = logging.getLogger("hangup")

#: Seconds for which a client may read nothing of its response.
STALL = 30.0


class Waiting:
    """How many polls may wait in threads of this worker, and how many do."""

    def __init__(self) -> None:
        self.threads = 0  # of the server; 0 is: as many as it likes
        self._count = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self) -> Any:
        """True inside if there was a place to wait in."""
        with self._lock:
            granted = not self.threads or self._count < self.threads // 2
            self._count += granted
        try:
            yield granted
        finally:
            with self._lock:
                self._count -= granted


waiting = Waiting()


def sid_of(environ: dict[str, Any]) -> str:
    """The session that a request names; empty if it names none."""
    query = environ.get("QUERY_STRING", "")
    return parse_qs(query).get("sid", [""])[0] if "sid=" in query else ""


def session_of(eio: Any, environ: dict[str, Any]) -> Any:
    """The live session that this request names; None if there is none."""
    sid = sid_of(environ)
    session = eio.sockets.get(sid) if sid else None
    return None if session is None or session.closed else session


def poll_of(eio: Any, environ: dict[str, Any]) -> Any:
    """The session whose poll this request is, if it would have to wait; else None."""
    if environ.get("REQUEST_METHOD") != "GET" or "HTTP_UPGRADE" in environ:
        return None
    session = session_of(eio, environ)
    if session is None or session.upgrading or session.upgraded or not session.connected:
        return None
    return session if session.queue.empty() else None


def answer_later(eio: Any, stock: Callable[..., Any], session: Any, environ: dict[str, Any]) -> bool:
    """Takes a poll's connection from its server, and answers when the session has something to send.

    False if the connection cannot leave; nothing was done then.
    """
    try:
        taken = takeover.leave(environ)
    except takeover.Declined:
        return False
    client = SafeSocket(taken.fd)
    if taken.sink is not None:
        taken.sink.close()

    def answer(filled: bool) -> None:
        application = (
            functools.partial(_poll, eio, stock, session) if filled else functools.partial(_nothing, eio)
        )
        eio.start_background_task(functools.partial(_answer, application, environ, client))

    session.queue.when_filled(answer)
    return True


def _poll(
    eio: Any,
    stock: Callable[..., Any],
    session: Any,
    environ: dict[str, Any],
    start_response: Callable[..., Any],
) -> Any:
    """What engineio answers. If the session has ended, that is what it answers polls that were there before: the last
    packets, and not that it knows no such session.
    """
    responses: list[tuple[Any, ...]] = []
    body = stock(environ, lambda *response: responses.append(response))
    if session.closed and responses and responses[0][0].startswith("400"):
        packets = [] if session.queue.empty() else session.poll()
        return _respond(eio, packets, environ, start_response)
    for response in responses:
        start_response(*response)
    return body


def _nothing(eio: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The response to a poll that another one of its client took the place of."""
    packet = sys.modules["engineio.packet"]
    return _respond(eio, [packet.Packet(packet.NOOP)], environ, start_response)


def _respond(
    eio: Any, packets: list[Any], environ: dict[str, Any], start_response: Callable[..., Any]
) -> list[bytes]:
    response = eio._ok(packets)
    start_response(response["status"], response["headers"] + eio._cors_headers(environ))
    return [response["response"]]


def _answer(application: Callable[..., Any], environ: dict[str, Any], client: SafeSocket) -> None:
    head: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        head[:] = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]

    with client:
        body = b"".join(application(environ, start_response))
        head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        client.settimeout(STALL)
        try:
            client.sendall("\r\n".join(head).encode("latin-1") + body)
        except OSError as gone:
            logger.debug("hangup: a poll was not answered: %s", gone)
