"""The native WebSocket transport for one server, where :func:`hangup.install` for all of them is not wanted::

    import hangup.flask_socketio
    socketio = SocketIO(app, client_manager=hangup.flask_socketio.Manager())

The same for ``socketio.Server``. Under ``hangup.gunicorn`` every server has it already.
"""

from __future__ import annotations

from typing import Any

from ._install import take_over_socketio

TYPE_CHECKING = False
if TYPE_CHECKING:
    Manager: type

__all__ = ["Manager", "install"]


def install(server: Any) -> Any:
    """Gives the WebSockets of a server to the native transport.

    Args:
        server: a ``socketio.Server``, or a ``flask_socketio.SocketIO`` that has one, without clients.

    Returns:
        ``server``. ``hangup.status()["integrations"]["socketio"]`` says what became of it.
    """
    take_over_socketio(getattr(server, "server", None) or server)
    return server


def _manager() -> type:
    import socketio

    class Manager(socketio.Manager):  # type: ignore[misc]
        """A client manager that takes its server over (``socketio.Server(client_manager=)``)."""

        def set_server(self, server: Any) -> None:
            super().set_server(server)
            take_over_socketio(server)

    return Manager


def __getattr__(name: str) -> Any:
    """Makes ``Manager`` when it is first asked for: importing this module imports no framework."""
    if name != "Manager":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _manager()
    return made
