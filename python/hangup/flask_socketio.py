"""The native WebSocket transport for one server, where :func:`hangup.install` for all of them is not wanted::

    import hangup.flask_socketio
    socketio = SocketIO(app, client_manager=hangup.flask_socketio.Manager())

The same for ``socketio.Server``. Under ``hangup.gunicorn`` every server has it already. ``AsyncManager`` is for
``socketio.AsyncServer``, whose WebSockets :mod:`hangup.uvicorn` serves.
"""

from __future__ import annotations

from typing import Any

from ._install import take_over_socketio

TYPE_CHECKING = False
if TYPE_CHECKING:
    AsyncManager: type
    Manager: type

__all__ = ["AsyncManager", "Manager", "install"]


def install(server: Any) -> Any:
    """Gives the WebSockets of a server to the native transport.

    Args:
        server: a ``socketio.Server`` or ``AsyncServer``, or a ``flask_socketio.SocketIO``, without clients.

    Returns:
        ``server``. ``hangup.status()["integrations"]["socketio"]`` says what became of it.
    """
    take_over_socketio(getattr(server, "server", None) or server)
    return server


def _manager(name: str) -> type:
    import socketio

    stock: Any = getattr(socketio, name)

    class TakingOver(stock):  # type: ignore[misc]
        """A client manager that takes its server over (``socketio.Server(client_manager=)``)."""

        def set_server(self, server: Any) -> None:
            super().set_server(server)
            take_over_socketio(server)

    return type(name, (TakingOver,), {"__module__": __name__})


def __getattr__(name: str) -> Any:
    """Makes a manager when it is first asked for: importing this module imports no framework."""
    if name not in ("AsyncManager", "Manager"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _manager(name)
    return made
