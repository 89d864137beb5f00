"""The native transport and native emits for one server, where :func:`hangup.install` for all of them is not wanted::

    from hangup.flask_socketio import NativeManager
    socketio = SocketIO(app, client_manager=NativeManager(policy="drop_oldest", budget=1024 * 1024))

The same for ``socketio.Server``. Under ``hangup.gunicorn`` every server has it already. Behind a message queue there
are ``NativeRedisManager``, ``NativeKombuManager``, ``NativeKafkaManager`` and ``NativeZmqManager``: python-socketio's,
with the same arguments and messages. ``AsyncManager`` is for ``socketio.AsyncServer``, whose WebSockets
:mod:`hangup.uvicorn` serves.

:func:`emit` is Flask-SocketIO's, and tells what became of the event.
"""

from __future__ import annotations

from typing import Any, Optional

from ._install import take_over_socketio
from .emit import EmitResult, safe_emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    AsyncManager: type
    Manager: type
    NativeKafkaManager: type
    NativeKombuManager: type
    NativeManager: type
    NativeRedisManager: type
    NativeZmqManager: type

__all__ = [
    "AsyncManager",
    "Manager",
    "NativeKafkaManager",
    "NativeKombuManager",
    "NativeManager",
    "NativeRedisManager",
    "NativeZmqManager",
    "emit",
    "install",
]

#: What a name stands for in ``socketio``.
_STOCK = {
    "AsyncManager": "AsyncManager",
    "Manager": "Manager",
    "NativeKafkaManager": "KafkaManager",
    "NativeKombuManager": "KombuManager",
    "NativeManager": "Manager",
    "NativeRedisManager": "RedisManager",
    "NativeZmqManager": "ZmqManager",
}


def install(server: Any) -> Any:
    """Gives the WebSockets and the emits of a server to the native transport.

    Args:
        server: a ``socketio.Server`` or ``AsyncServer``, or a ``flask_socketio.SocketIO``, without clients.

    Returns:
        ``server``. ``hangup.status()["integrations"]["socketio"]`` says what became of it.
    """
    take_over_socketio(getattr(server, "server", None) or server)
    return server


def emit(
    event: str,
    *args: Any,
    broadcast: bool = False,
    to: Any = None,
    room: Any = None,
    policy: Optional[str] = None,
    coalesce: Optional[str] = None,
    **options: Any,
) -> EmitResult:
    """As ``flask_socketio.emit``, in a handler of a Socket.IO event; and nothing that a client does is raised.

    Args:
        event: name of the event.
        args: payload.
        broadcast: to every client of the namespace; else, without ``to``, to the one whose event is being handled.
        to: session id or room, or a list of rooms.
        room: another name for ``to``.
        policy: see :func:`hangup.safe_emit`.
        coalesce: see :func:`hangup.safe_emit`.
        options: ``namespace``, ``include_self``, ``skip_sid``, ``callback`` and ``ignore_queue``, as Flask-SocketIO
            has them.

    Raises:
        RuntimeError: not in a handler.
        TypeError: the payload cannot be serialised; or another error of the serialiser.
    """
    import flask

    target = to or room
    if target is None and not broadcast:
        target = flask.request.sid  # type: ignore[attr-defined]
    result: EmitResult = safe_emit(event, *args, to=target, policy=policy, coalesce=coalesce, **options)
    return result


def _async_manager() -> Any:
    import socketio

    class AsyncManager(socketio.AsyncManager):  # type: ignore[misc]
        """A client manager that takes its server over (``socketio.AsyncServer(client_manager=)``)."""

        def set_server(self, server: Any) -> None:
            super().set_server(server)
            take_over_socketio(server)

    return AsyncManager


def __getattr__(name: str) -> Any:
    """Makes a manager when it is first asked for: importing this module imports no framework."""
    if name not in _STOCK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import socketio

    from ._websocket.manager import native

    made = _async_manager() if name == "AsyncManager" else native(getattr(socketio, _STOCK[name]))
    globals()[name] = made
    return made
