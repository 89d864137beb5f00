"""ASGI middleware: a client that left, in one dialect under every server::

    app = hangup.asgi.Hangup(app)

Promised
    After the client left, ``send()`` does nothing, is counted (``asgi_sends_after_gone``) and raises nothing, or
    :class:`hangup.PeerGone` if that is asked for; a ``PeerGone`` that the application lets pass ends it quietly, and so
    does what Starlette makes of the disconnect (``WebSocketDisconnect``, ``ClientDisconnect``) of this client.
    ``receive()`` gives one ``websocket.disconnect``, with the client's code if the server knows it; also to an
    application whose ``send()`` found the client gone, half a second later at most.
    What applications, and middleware around this one, raise is theirs and passes. Lifespans pass untouched. No task and
    no timer is left when the application ends.

Not promised
    Other loops than asyncio's (uvloop is one of them): under trio everything passes through. A disconnect is found by
    who sends or receives: an application that does neither for a client learns nothing about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Optional

from . import _mode, _status
from ._asgi.client import Client, Receive, Send
from ._asgi.limits import Limits
from ._websocket.member import EXTENSION as NATIVE

__all__ = ["Hangup"]

Application = Callable[[Any, Receive, Send], Awaitable[Any]]

#: The last version of the specification in which ``send`` is a no-op after the client left, which frameworks look at.
QUIET_SPEC = "2.3"


class Hangup:
    """Wraps an ASGI application.

    Args:
        app: the application.
        raise_gone: ``send()`` raises :class:`hangup.PeerGone` once the client is gone.
        heartbeat: seconds of silence after which a WebSocket's client is asked whether it is there, by a ping under
            ``hangup.uvicorn:WebSocketProtocol``, elsewhere by the message ``{"type": "heartbeat"}``, which it has to
            answer with any message. ``{"type": "heartbeat_ack"}`` is not shown to the application.
        heartbeat_timeout: seconds for the answer; without one it is gone, with the code 1006.
        idle_timeout: seconds without a message either way, a broadcast one included, after which a WebSocket is
            closed with 3008.
        send_timeout: seconds that a ``send()`` may wait; then the client is gone, with the code 1013.
        max_queued: bytes that may wait in ``send()`` calls for one client, a single message excepted; beyond it is
            gone, with the code 1013.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, or not positive; the text names it.
    """

    def __init__(
        self,
        app: Application,
        *,
        raise_gone: bool = False,
        heartbeat: Optional[float] = None,
        heartbeat_timeout: float = 20.0,
        idle_timeout: Optional[float] = None,
        send_timeout: Optional[float] = None,
        max_queued: Optional[int] = None,
    ) -> None:
        if not callable(app):
            raise TypeError(f"app: {type(app).__name__} cannot be called")
        self._app = app
        self._limits = Limits(
            raise_gone,
            _seconds("heartbeat", heartbeat),
            _seconds("heartbeat_timeout", heartbeat_timeout) or 20.0,
            _seconds("idle_timeout", idle_timeout),
            _seconds("send_timeout", send_timeout),
            None if max_queued is None else int(_positive("max_queued", max_queued)),
        )
        mode = _mode.mode()
        self._is_on = mode == _mode.ON
        _record("" if self._is_on else f"HANGUP={mode}")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> Any:
        """ASGI's."""
        if not self._is_on or scope["type"] not in ("http", "websocket") or not _is_asyncio():
            return await self._app(scope, receive, send)
        client, scope = enter(scope, receive, send, self._limits)
        try:
            return await self._app(scope, client.receive, client.send)
        except Exception as error:  # each framework has its own
            if not client.is_own(error):
                raise
        finally:
            await client.finish()


def enter(scope: Any, receive: Receive, send: Send, limits: Limits) -> tuple[Client, Any]:
    """A client, and the scope to show to the application."""
    native = (scope.get("extensions") or {}).get(NATIVE)
    client = Client(scope["type"], receive, send, limits._replace(heartbeat=None), native)
    if limits.heartbeat is not None:
        beat(scope, client, limits.heartbeat, limits.heartbeat_timeout)
    if not limits.raise_gone and (said := scope.get("asgi", {})).get("spec_version", "") > QUIET_SPEC:
        scope = {**scope, "asgi": {**said, "spec_version": QUIET_SPEC}}
    return client, scope


def beat(scope: Any, client: Client, interval: float, timeout: float) -> None:
    """Has a silent client asked: natively, where it is native."""
    member = (scope.get("extensions") or {}).get(NATIVE)
    if member is None:
        client.beat(interval, timeout)
    else:
        member.ping_every(interval, timeout)


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _record("the event loop is not asyncio's")
        return False
    return True


def _record(reason: str) -> None:
    _status.record("asgi", state="stock" if reason else "on", reason=reason)


def _seconds(name: str, value: Optional[float]) -> Optional[float]:
    return None if value is None else float(_positive(name, value))


def _positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {value!r} is not a number")
    if not value > 0:
        raise ValueError(f"{name}: {value!r} is not positive")
    return value
