"""One client of an ASGI server, as the application sees it.

Promised
    What :class:`hangup.asgi.Hangup` promises.

How
    The application's waits for its server are noted. What waits for longer than ``GRACE`` while the client is known to
    be gone is called back: by then the server has told what it knows. One timer serves all deadlines.
"""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Optional, TypeVar

from .. import _hangup
from .._websocket.member import Member
from ..exceptions import PeerGone
from .connection import abort
from .dialects import close_code, is_departure, is_passed_on
from .limits import GRACE, LET_GO, MANY, NO_CLOSE_FRAME, PATIENCE, TIMEOUT, TRY_AGAIN_LATER, Limits
from .messages import HEARTBEAT, Event, is_ack, size_of

Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Result = TypeVar("Result")


class _CalledBack(Exception):
    """What a task waited for will not be waited for any longer."""


class Client:
    """The two callables of an ASGI application, in one dialect. For one event loop."""

    __slots__ = (
        "_active",
        "_ahead",
        "_asked",
        "_called_back",
        "_code",
        "_from_server",
        "_heard",
        "_is_accepted",
        "_is_closing",
        "_is_finished",
        "_is_given_up",
        "_is_over",
        "_is_told",
        "_is_websocket",
        "_last",
        "_limits",
        "_listening_since",
        "_loop",
        "_member",
        "_own_tasks",
        "_queued",
        "_raised",
        "_receiving",
        "_sending",
        "_sends_in_a_row",
        "_skipped",
        "_timer",
        "_to_server",
        "is_gone",
    )

    def __init__(
        self, kind: str, receive: Receive, send: Send, limits: Limits, member: Optional[Member] = None
    ) -> None:
        self._is_websocket = kind == "websocket"
        self._from_server = receive
        self._to_server = send
        self._limits = limits
        self._member = member  # what others may send to, where the connection is native
        self._loop = asyncio.get_running_loop()
        self._receiving: dict[Any, float] = {}  # tasks, and since when they wait
        self._sending: dict[Any, float] = {}
        self._called_back: list[Any] = []  # smaller than a set, for each idle client
        self._ahead: Optional[asyncio.Task[Event]] = (
            None  # what the server will say next, if the application is busy
        )
        self._listening_since = 0.0
        self._sends_in_a_row = 0
        self._own_tasks: list[asyncio.Task[Any]] = []
        self._timer: Optional[asyncio.TimerHandle] = None
        self._is_accepted = False
        self._is_closing = False  # the application: nothing may be sent behind its close
        self._is_finished = False  # by the application: a close, the end of a response
        self._is_over = False  # the application itself
        self._is_given_up = False  # by us: the server thinks that it is there
        self._is_told = False  # the application has received the disconnect
        self._last: Optional[Event] = None  # the disconnect, if it does not come from the server
        self._code = NO_CLOSE_FRAME
        self._queued = 0
        self._skipped = 0
        self._raised: Optional[PeerGone] = None
        self._heard = self._active = self._loop.time()
        self._asked: Optional[float] = None
        self.is_gone = False
        if limits.send_timeout is not None:
            self._look()

    # -- what the application calls -------------------------------------------------------------------------

    async def receive(self) -> Event:
        """ASGI's."""
        if self._is_told and self._is_websocket:
            await asyncio.sleep(GRACE)  # servers that wait here end the application themselves
            raise self._departure()
        self._sends_in_a_row = 0
        if self.is_gone:
            self._wait_no_longer()
        last = None if self._is_told and not self._is_over else self._last
        while last is None:
            try:
                event: Event = await self._wait(
                    self._receiving, self._from_server() if self._ahead is None else self._next()
                )
            except _CalledBack:
                last = self._last or self._disconnect(self._code)
                break
            if event["type"].endswith(".disconnect"):
                last = event
            elif not self._is_ack(event) and not self._is_told:
                return event
        self._last = last
        self._is_told = True
        self._leave()
        return last

    async def send(self, message: Event) -> None:
        """ASGI's."""
        if self.is_gone and not self._is_finished:
            await self._skip()
            return
        self._sends_in_a_row += 1
        if self._sends_in_a_row >= MANY and self._is_accepted:
            self._listen()
        size = size_of(message)
        limit = self._limits.max_queued
        if limit is not None and self._queued and self._queued + size > limit:
            self._end(TRY_AGAIN_LATER, "asgi_queue_overflows")
            await self._skip()
            return
        self._queued += size
        self._is_closing = self._is_closing or message["type"] == "websocket.close"
        try:
            await self._wait(self._sending, self._to_server(message))
        except _CalledBack:
            await self._skip()
        except Exception as error:
            if not is_departure(error):
                raise
            self._code = close_code(error) or NO_CLOSE_FRAME
            self._leave()
            await self._skip()
        else:
            self._note(message)
        finally:
            self._queued -= size

    def beat(self, interval: float, timeout: float) -> None:
        """Asks its silent client from now on, or from the time it is accepted."""
        self._limits = self._limits._replace(heartbeat=interval, heartbeat_timeout=timeout)
        self._look()

    @property
    def is_there(self) -> bool:
        """Whether a message may still reach it."""
        return not (self.is_gone or self._is_finished)

    @property
    def code(self) -> Optional[int]:
        """The client's close code, once it is known to be gone."""
        if not self.is_gone:
            return None
        return self._code if self._last is None else self._last.get("code", self._code)

    def is_own(self, error: BaseException) -> bool:
        """Whether it was raised here, or by a framework that was told here: the application let it pass, as it may."""
        return error is self._raised or (self.is_gone and is_passed_on(error))

    async def finish(self) -> None:
        """The application has ended."""
        self._ahead = None
        if self._timer is not None:
            self._timer.cancel()
        self._is_finished = self._is_over = True
        self._raised = None  # its traceback has us in its frames
        for task in self._own_tasks:
            task.cancel()
        if self._own_tasks:
            await asyncio.wait(tuple(self._own_tasks))
        if self._is_given_up and self._is_websocket:
            await asyncio.sleep(LET_GO)

    # -- listening while the application does not ------------------------------------------------------------

    def _listen(self) -> None:
        """One event ahead, and no more: what the client says may wait for the application."""
        if self._ahead is None and not self._receiving:
            self._ahead = self._start(self._overhear())
            self._ahead.add_done_callback(_retrieve)
            self._listening_since = self._loop.time()

    async def _overhear(self) -> Event:
        event = await self._from_server()
        if event["type"].endswith(".disconnect"):
            self._leave()
        else:
            self._heard = self._loop.time()
            self._asked = None
        return event

    async def _next(self) -> Event:
        while (ahead := self._ahead) is not None:
            await asyncio.wait({ahead})
            if self._ahead is ahead:
                self._ahead = None
                return ahead.result()
        return await self._from_server()

    # -- waiting for the server -----------------------------------------------------------------------------

    async def _wait(self, among: dict[Any, float], awaitable: Awaitable[Any]) -> Any:
        task = asyncio.current_task()
        among[task] = self._loop.time()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task not in self._called_back or _is_cancelled_by_others(task):
                raise
            raise _CalledBack from None
        finally:
            del among[task]
            if task in self._called_back:
                self._called_back.remove(task)

    def _call_back(self) -> None:
        for task in [*self._receiving, *self._sending]:
            if task not in self._called_back and not task.done():
                self._called_back.append(task)
                task.cancel()

    # -- the client is gone ---------------------------------------------------------------------------------

    def _leave(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        self._set_timer(self._loop.time() + GRACE, self._call_back)

    def _end(self, code: int, name: str, told: Optional[int] = None) -> None:
        """Does not wait for the server: it knows nothing yet."""
        if self.is_gone:
            return
        _hangup.tally(name)
        self.is_gone = self._is_given_up = True
        if self._timer is not None:
            self._timer.cancel()
        self._last = self._disconnect(told or code)
        if not self._is_websocket:
            abort(self._from_server, self._to_server)
        elif self._is_accepted:
            self._say({"type": "websocket.close", "code": code})  # before the application ends
        self._call_back()

    def _disconnect(self, code: int) -> Event:
        return (
            {"type": "websocket.disconnect", "code": code}
            if self._is_websocket
            else {"type": "http.disconnect"}
        )

    async def _skip(self) -> None:
        _hangup.tally("asgi_sends_after_gone")
        self._skipped += 1
        if self._limits.raise_gone or self._skipped > PATIENCE:
            raise self._departure()
        await asyncio.sleep(0)  # who sends in a loop would keep the others out

    def _departure(self) -> PeerGone:
        if self._raised is None:
            self._raised = PeerGone(errno.EPIPE, "the client left")
        return self._raised.with_traceback(None)  # of many raises, else

    # -- deadlines ------------------------------------------------------------------------------------------

    def _note(self, message: Event) -> None:
        kind = message["type"]
        self._active = self._loop.time()
        if kind == "websocket.accept":
            self._is_accepted = True
            self._heard = self._active
            self._look()
        elif kind == "websocket.close" or (kind.endswith(".body") and not message.get("more_body", False)):
            self._is_finished = True

    def _is_ack(self, event: Event) -> bool:
        """Hears; whether it is the answer to a heartbeat, which is not the application's."""
        self._heard = self._loop.time()
        self._asked = None
        if self._limits.heartbeat is not None and is_ack(event):
            return True
        self._active = self._heard
        return False

    def _look(self) -> None:
        """At what is due; comes back for the rest."""
        if self.is_gone or self._is_finished:
            return
        now, limits = self._loop.time(), self._limits
        upcoming = []
        if limits.send_timeout is not None:
            due = min(self._sending.values(), default=now) + limits.send_timeout
            if due <= now:
                self._end(TRY_AGAIN_LATER, "asgi_slow_clients")
                return
            upcoming.append(due)
        if self._is_accepted and limits.idle_timeout is not None:
            due = max(self._active, now - self._quiet) + limits.idle_timeout
            if due <= now:
                self._end(TIMEOUT, "asgi_idle_clients")
                return
            upcoming.append(due)
        if self._is_accepted and limits.heartbeat is not None:
            if self._asked is None and self._heard + limits.heartbeat <= now:
                self._asked = now
                self._listen()
                self._say({"type": "websocket.send", "text": HEARTBEAT})
            if self._asked is None:
                upcoming.append(self._heard + limits.heartbeat)
            else:
                due = self._silent_at(now)
                if due <= now:
                    self._end(TIMEOUT, "asgi_silent_clients", told=NO_CLOSE_FRAME)
                    return
                upcoming.append(due)
        if upcoming:
            self._set_timer(min(upcoming), self._look)

    @property
    def _quiet(self) -> float:
        return math.inf if self._member is None else self._member.quiet

    def _silent_at(self, now: float) -> float:
        """An answer that the application has not fetched is not silence."""
        assert self._asked is not None
        is_listening = self._ahead is not None and not self._ahead.done()
        listening = min(self._receiving.values(), default=self._listening_since if is_listening else now)
        return max(self._asked, listening) + self._limits.heartbeat_timeout

    def _set_timer(self, when: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_over:
            self._timer = self._loop.call_at(when, call)

    def _say(self, message: Event) -> None:
        if not self._is_closing:
            self._start(self._said(message))

    def _start(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = self._loop.create_task(coroutine)
        self._own_tasks.append(task)
        task.add_done_callback(self._own_tasks.remove)
        return task

    async def _said(self, message: Event) -> None:
        try:
            await self._to_server(message)
        except Exception as error:
            if not is_departure(error):
                raise
            self._leave()


def client_of(receive: Receive) -> Optional[Client]:
    """Whose ``receive()`` it is, if somebody further out has made one. The scope is not told: it is the application's,
    who may compare or pickle it."""
    owner = getattr(receive, "__self__", None)
    return owner if isinstance(owner, Client) else None


def _is_cancelled_by_others(task: Any) -> bool:
    """Takes our own cancellation back. Before Python 3.11 nobody counts them."""
    return hasattr(task, "uncancel") and task.uncancel() > 0


def _retrieve(task: asyncio.Task[Event]) -> None:
    """Whoever receives next is told of an error; else nobody, as if it had not been heard."""
    if not task.cancelled():
        task.exception()
