"""Whether the client of an HTTP request is still there, as views are told.

Promised
    ``gone`` never waits, and takes nothing from what the client sent. A request is counted once in
    ``requests_abandoned``, whoever finds out first.

How
    WSGI: the kernel is asked about the connection that the server put into the environ, by its number, which is pinned
    meanwhile if the socket is hangup's. ASGI: the server says so, in a message that Django and others would
    never ask for, or that only one of them would get: it is received here, once, and shared.

Not promised
    A client that only ended its sending side (``shutdown(SHUT_WR)``) looks the same as one that left, and is taken for
    it; nginx and uvicorn do the same. A client that was unplugged is there until the kernel gives up.
    Servers whose environ has no connection (mod_wsgi, uWSGI, waitress, wsgiref and with it ``runserver``) tell nothing:
    ``gone`` is False.
"""

from __future__ import annotations

import asyncio
import math
import select
import sys
from typing import Any, Awaitable, Callable, Optional

from . import _hangup
from ._websocket.takeover import Declined, socket_of
from .exceptions import HangupError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: In the scope of an ASGI request.
KEY = "hangup.client"

#: It has left, and nothing can be sent to it.
_OVER = (True, True)


class Client:
    """The client of a request, if nothing is known of it."""

    __slots__ = ("_is_counted",)

    def __init__(self) -> None:
        self._is_counted = False

    @property
    def gone(self) -> bool:
        """Whether it has left."""
        return False

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent to it any more, for certain."""
        return False

    async def wait_gone(self) -> None:
        """Returns when it has left."""
        await asyncio.get_running_loop().create_future()

    def count(self) -> None:
        """Counts the request as one whose client left before it had its response."""
        if not self._is_counted:
            self._is_counted = True
            _hangup.tally("requests_abandoned")


class WsgiClient(Client):
    """The client of a request whose server put its connection into the environ."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        super().__init__()
        self._sock = sock

    @property
    def gone(self) -> bool:
        """Whether it has left."""
        return self._asked()[0]

    @property
    def is_over(self) -> bool:
        """Whether it reset the connection, or the path broke."""
        return self._asked()[1]

    async def wait_gone(self) -> None:
        """Returns when it has left. Opens a descriptor meanwhile."""
        loop = asyncio.get_running_loop()
        left = loop.create_future()
        watching = _epoll()
        try:
            self._with_number(lambda number: watching.register(number, select.EPOLLRDHUP))
            loop.add_reader(watching.fileno(), _tell, left)
            try:
                if not self.gone:
                    await left
            finally:
                loop.remove_reader(watching.fileno())
        finally:
            watching.close()

    def _asked(self) -> tuple[bool, bool]:
        asked: tuple[bool, bool] = self._with_number(_hangup.departure)
        return asked

    def _with_number(self, ask: Callable[[int], Any]) -> Any:
        if not isinstance(self._sock, _hangup.Socket):
            number = self._sock.fileno()
            return _OVER if number < 0 else ask(number)
        try:
            with self._sock._pin() as number:
                return ask(number)
        except HangupError:
            return _OVER  # the application itself closed it, or gave it away


class AsgiClient(Client):
    """The client of an ASGI request: stands between the server and the application.

    Args:
        receive: the server's.
        send: the server's.
    """

    __slots__ = ("_ending", "_has_answer", "_left", "_missing", "_receive", "_send", "_waiting")

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__()
        self._receive = receive
        self._send = send
        self._left = False
        self._has_answer = False
        #: Bytes of the response's body that are still to be sent.
        self._missing = math.inf
        self._waiting: set[asyncio.Future[None]] = set()
        self._ending: Optional[asyncio.Task[dict[str, Any]]] = None

    @property
    def gone(self) -> bool:
        """Whether its server said that it has left."""
        return self._left

    @property
    def is_over(self) -> bool:
        """The same: a server that says so has closed the connection."""
        return self._left

    async def wait_gone(self) -> None:
        """Returns when it has left, on the loop of the server."""
        left = asyncio.get_running_loop().create_future()
        self._waiting.add(left)
        try:
            if not self._left:
                await left
        finally:
            self._waiting.discard(left)

    async def receive(self) -> dict[str, Any]:
        """For the application: the server's messages, the last one as often as it is asked for."""
        ending = self._ending
        if ending is None:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
            elif not message.get("more_body", False):
                self._ending = asyncio.ensure_future(self._receive_end())
            return message
        await asyncio.wait({ending})  # whoever is cancelled here does not take it from the others
        return ending.result()

    async def send(self, message: dict[str, Any]) -> None:
        """For the application."""
        if message["type"] == "http.response.start":
            self._missing = _length_of(message)
        elif message["type"] == "http.response.body":
            self._missing -= len(message.get("body", b""))
            # who has all of it may leave before it is told that nothing follows
            self._has_answer = self._missing <= 0 or not message.get("more_body", False)
        await self._send(message)

    async def close(self) -> None:
        """When the application is done with the request."""
        # A task has us in its frames, and would wait for the collector with us.
        ending, self._ending = self._ending, None
        if ending is not None:
            ending.cancel()
            await asyncio.wait({ending})
            if not ending.cancelled():
                ending.exception()

    async def _receive_end(self) -> dict[str, Any]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                return message

    def _leave(self) -> None:
        if not self._left and not self._has_answer:
            self.count()
        self._left = True
        for left in tuple(self._waiting):
            if not left.done():
                left.get_loop().call_soon_threadsafe(_tell, left)


def _length_of(start: dict[str, Any]) -> float:
    for name, value in start.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return math.inf


def _tell(left: asyncio.Future[None]) -> None:
    if not left.done():
        left.set_result(None)


def of_environ(environ: dict[str, Any]) -> Client:
    """The client of a WSGI request."""
    try:
        return WsgiClient(socket_of(environ))
    except Declined:
        return Client()


def _epoll() -> Any:
    """That of ``select``: hubs put their own there, which wait, or none."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None:
        return gevent.get_original("select", "epoll")()
    eventlet = sys.modules.get("eventlet.patcher")
    return (select if eventlet is None else eventlet.original("select")).epoll()
