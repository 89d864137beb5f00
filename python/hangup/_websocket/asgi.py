"""One WebSocket of an ASGI application under uvicorn, native from its 101 on.

Promised
    The events, exceptions and log lines of uvicorn's own implementations. ``send`` waits while much waits for the
    client, and is woken natively; a client whose application is behind is not read.

How
    uvicorn hands the connection over with its upgrade request. After the 101 the descriptor is duplicated for the
    engine, and the transport aborted: that closes its number, and leaves the connection alone.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from typing import Any, Optional

from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
)

from .. import _connection_limit, _hangup
from .._control import server as control
from .._logs.text import escape
from .handshake import Handshake, Headers, Refused
from .loop import LoopDispatcher, running_dispatcher, throw_away
from .member import EXTENSION, Member
from .plain import MAX_QUEUED

#: Bytes that may wait for the client before ``send`` waits, and at which it goes on: asyncio's figures.
HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024
#: Bytes of a client that does not wait for the 101 before it is not read.
MAX_EARLY = 64 * 1024
#: Seconds for which a client may take nothing of what waits, if it is not pinged.
STALL_LIMIT = 60.0
#: Seconds for the close handshake.
CLOSE_LIMIT = 2.0
#: No deadline is farther away, in seconds.
A_DAY = 86_400.0
#: RFC 6455 section 7.4.1: no close frame.
NO_CLOSE_FRAME = 1006
SERVICE_RESTART = 1012

Event = dict[str, Any]


class NativeProtocol(asyncio.Protocol):
    """What uvicorn calls a WebSocket protocol."""

    transport: asyncio.Transport

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any]) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._logger = logging.getLogger("uvicorn.error")
        self._handshake = Handshake()
        self._scope: Any = None
        self._response: Optional[tuple[int, Headers, bytes]] = None
        self._is_answered = False  # with a 101, or a response
        self._is_lost = False  # before it was answered
        self._is_closed = False  # by the application
        self._is_done = False  # the application
        self._native: Any = None
        self._member = Member()
        self._dispatcher: LoopDispatcher
        self._turn: Any = None
        self._first: Optional[Event] = {"type": "websocket.connect"}
        self._last: Optional[Event] = None
        self._is_last_known = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def native(self) -> Any:
        """The connection on the engine, once it is there."""
        return self._native

    # -- the transport, until the 101 ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._server_state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._native is not None or self.transport.is_closing():
            return
        self._handshake.receive(data)
        if self._scope is None:
            self._begin()
        elif len(self._handshake.early) > MAX_EARLY:
            self.transport.pause_reading()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if self._native is not None:
            return  # it was left
        self._is_lost = True
        self._server_state.connections.discard(self)
        self._writable.set()
        self._tell_last({"type": "websocket.disconnect", "code": 1006})

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """uvicorn leaves."""
        if self._native is None:
            self._respond_500()
            self.transport.close()
        else:
            self._native.close(SERVICE_RESTART)
            self._tell_last({"type": "websocket.disconnect", "code": SERVICE_RESTART})

    def _begin(self) -> None:
        try:
            self._scope = self._handshake.scope(self._config.root_path)
            self._limit()
        except Refused as refused:
            self._respond(refused.status, refused.headers, str(refused).encode())
            self.transport.close()
            return
        self._handshake.receive(read_ahead(self.transport))
        self._scope.update(
            asgi={"version": self._config.asgi_version, "spec_version": "2.4"},
            scheme="ws",
            server=get_local_addr(self.transport),
            client=get_remote_addr(self.transport),
            state=self._app_state.copy(),
        )
        self._scope["extensions"][EXTENSION] = self._member
        task = asyncio.get_running_loop().create_task(self._run(self._scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def _limit(self) -> None:
        peer = get_remote_addr(self.transport)
        wait = _connection_limit.wait_of(peer and peer[0], self._scope["headers"])
        if wait is not None:
            raise Refused(429, [(b"Retry-After", b"%d" % wait)], "too many connections: try again later")

    async def _run(self, scope: Event) -> None:
        try:
            result = await self._config.loaded_app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:  # uvicorn's too: an application's SystemExit does not end the server
            self._logger.exception("Exception in ASGI application\n")
        else:
            if self._native is None and not (self._is_answered or self._is_lost):
                self._logger.error("ASGI callable returned without completing handshake.")
            elif result is not None:
                self._logger.error("ASGI callable should return None, but returned '%s'.", result)
        self._finish()

    def _finish(self) -> None:
        self._is_done = True
        if self._native is None:
            self._member.refuse()
            self._respond_500()
            self.transport.close()
            return
        self._native.close(NO_CLOSE_FRAME)  # unless it is closed
        self._tell_last({"type": "websocket.disconnect", "code": NO_CLOSE_FRAME})
        self._turn = None  # comes back to be thrown away, if there is something left
        self.look()

    # -- what the application calls -------------------------------------------------------------------------

    async def receive(self) -> Event:
        """ASGI's."""
        while (event := self._next()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return event

    def _next(self) -> Optional[Event]:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        event = None if self._turn is None else self._turn.take()
        if isinstance(event, str):
            return {"type": "websocket.receive", "text": event}
        if isinstance(event, bytes):
            return {"type": "websocket.receive", "bytes": event}
        if event is not None:
            self._tell_last({"type": "websocket.disconnect", "code": event[1], "reason": event[2]})
        self._turn = None
        last, self._last = self._last, None
        return last

    async def send(self, message: Event) -> None:
        """ASGI's."""
        await self._writable.wait()
        kind = message["type"]
        if self._native is not None:
            await self._speak(kind, message)
        elif self._is_lost:
            raise ClientDisconnected
        elif self._is_answered:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        elif self._response is not None:
            self._refuse_on(kind, message)
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            self._refuse(403)
        elif kind == "websocket.http.response.start":
            status = message["status"]
            if not 200 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._log(str(status))
            self._response = (status, message.get("headers", []), b"")
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or "
                f"'websocket.http.response.start' but got '{kind}'."
            )

    # -- before the 101 -------------------------------------------------------------------------------------

    async def _accept(self, message: Event) -> None:
        headers = [*self._server_state.default_headers, *message.get("headers", [])]
        head = self._handshake.accept(message.get("subprotocol"), headers)
        self._log("[accepted]")
        if self.transport.is_closing():
            return
        self._is_answered = True
        self.transport.set_write_buffer_limits(high=0)
        self.transport.write(head)
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():
            self._writable.clear()
            await self._writable.wait()
        if not self.transport.is_closing():
            self._leave()

    def _leave(self) -> None:
        self._dispatcher = running_dispatcher()
        control.start()  # once: from here on there is something to ask for
        fd = os.dup(self.transport.get_extra_info("socket").fileno())
        self.transport.abort()
        start = functools.partial(
            _native_websocket, fd, self._handshake.early, self._config, self._member.pings
        )
        self._native = self._dispatcher.open(self, start)
        self._member.attach(self._native)
        del self._handshake  # a parser and its buffers, which idle clients need not keep

    def _refuse(self, status: int) -> None:
        self._log(str(status))
        self._respond(status, [], b"")
        self.transport.close()
        self._tell_last({"type": "websocket.disconnect", "code": 1006})

    def _refuse_on(self, kind: str, message: Event) -> None:
        if kind != "websocket.http.response.body":
            raise RuntimeError(f"Expected ASGI message 'websocket.http.response.body' but got '{kind}'.")
        assert self._response is not None
        status, headers, body = self._response
        self._response = (status, headers, body + message.get("body", b""))
        if not message.get("more_body", False):
            self._respond(*self._response)
            self.transport.close()
            self._tell_last({"type": "websocket.disconnect", "code": 1006})

    def _respond_500(self) -> None:
        """For an application that did not answer, or not to the end."""
        if not (self._is_answered or self._is_lost):
            self._respond(500, [], b"Internal Server Error")

    def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        response = self._handshake.respond(status, headers, body)
        self._is_answered = True
        self.transport.write(response)

    def _log(self, answer: str) -> None:
        line = '%s - "WebSocket %s" %s'
        peer, path = get_client_addr(self._scope), get_path_with_query_string(self._scope)
        self._logger.info(line, escape(peer), escape(path), answer)

    # -- after the 101 --------------------------------------------------------------------------------------

    async def _speak(self, kind: str, message: Event) -> None:
        if self._native.queued > HIGH_WATER:
            while not self._native.wait_for_room(LOW_WATER, 0.0):
                self._writable.clear()
                await self._writable.wait()
        if self._native.ending is not None:
            raise ClientDisconnected
        if self._is_closed:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        if kind == "websocket.send":
            data = message.get("text") if message.get("bytes") is None else message["bytes"]
            if data is not None and self._native.send(data) == "gone":
                raise ClientDisconnected
        elif kind == "websocket.close":
            self._is_closed = True
            code, reason = message.get("code", 1000), message.get("reason") or ""
            self._native.close(code, reason)
            self._tell_last({"type": "websocket.disconnect", "code": code, "reason": reason})
        else:
            raise RuntimeError(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'."
            )

    def take_turn(self, turn: Any) -> None:
        """See :class:`loop.Connection`."""
        if self._is_done:
            throw_away(turn)
        else:
            self._turn = turn
            self._arrived.set()

    def look(self) -> None:
        """See :class:`loop.Connection`."""
        self._writable.set()
        if self._native.ending is not None:
            self._server_state.connections.discard(self)
            if self._is_done:
                self._dispatcher.forget(self._native)

    def _tell_last(self, event: Event) -> None:
        if not self._is_last_known:
            self._is_last_known = True
            self._last = event
            self._arrived.set()


def _native_websocket(
    fd: int, early: bytes, config: Any, asked: Optional[tuple[float, float]], dispatcher: Any
) -> Any:
    interval, timeout = asked or (config.ws_ping_interval, config.ws_ping_timeout)
    pings = (min(interval, A_DAY), None if timeout is None else min(timeout, A_DAY)) if interval else None
    return _hangup.WebSocket(
        fd,
        early,
        dispatcher,
        max_message=config.ws_max_size,
        max_queued=MAX_QUEUED,  # `send` waits long before
        stall_limit=STALL_LIMIT if pings is None or pings[1] is None else pings[0] + pings[1],
        close_limit=CLOSE_LIMIT,
        pings=pings,
        tells=True,
    )


def read_ahead(transport: asyncio.Transport) -> bytes:
    """What uvicorn's HTTP protocol read behind the upgrade request that it is handing over."""
    trailing = getattr(getattr(transport.get_protocol(), "conn", None), "trailing_data", None)
    if trailing is not None:  # h11's
        return bytes(trailing[0])
    upgrade = sys.exc_info()[1]  # httptools raises at the end of the request: uvicorn is in its `except`
    if type(upgrade).__name__ != "HttpParserUpgrade" or upgrade is None or upgrade.__traceback__ is None:
        return b""
    return bytes(upgrade.__traceback__.tb_frame.f_locals.get("data", b"")[upgrade.args[0] :])
