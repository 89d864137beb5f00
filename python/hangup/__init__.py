"""Sockets of Flask-SocketIO, python-socketio and Django Channels services, owned natively.

General layout
    ``_hangup``       the native core: descriptors, their one owner, and the engine
    ``_socket``       :class:`SafeSocket` over it; ``_delegated`` and ``_green`` complete it
    ``gunicorn``      the configuration hooks; ``_gunicorn`` what they add to a worker
    ``_websocket``    WebSockets on the native engine, for python-socketio, flask-sock, uvicorn and plain applications
    ``django``, ``flask``   requests whose clients leave; ``_client`` whether one is there, ``_pieces`` its streams
    ``asgi``          middleware for ASGI applications; ``channels`` for consumers of Channels; ``_asgi`` behind both
    ``uvicorn``       the class that uvicorn's ``--ws`` names
    ``fds``           what is owned; ``_reports`` what was violated
    ``metrics``       what was counted, by all workers; ``prometheus``, ``opentelemetry`` and ``ops`` show it, by the
                      table of ``_exposition``; ``_ops_server`` is ``ops`` in a process of its own
    ``_control``      what a running worker can be asked: by ``_top``, ``_close``, ``_drain``
    ``logfilter``     log lines about clients that left
    ``_siblings``     what the workers of one master are to each other: sessions, emits
    ``_connection_limit``   how many connections a client may begin; ``_forwarded`` who it is behind proxies
    ``_cli``          the ``hangup`` command; ``_doctor``, ``_explain``, ``_top``, ``_watch``, ``_load`` (bench, storm),
                      ``_init``, ``_serve`` and ``_migrate`` are what its subcommands find out and do
    ``emit``          an emit that a departed client cannot break
    ``_install``      the only module that sets attributes of foreign objects

Importing this package imports no framework and starts nothing.
"""

from __future__ import annotations

from . import _fork as _fork
from ._status import status
from .exceptions import (
    Broken,
    Busy,
    CannotGuard,
    ClosedHere,
    HangupError,
    OwnershipViolation,
    PeerGone,
    TimedOut,
)

TYPE_CHECKING = False  # typing takes longer to import than everything else here
if TYPE_CHECKING:
    from typing import Any

    from . import fds, metrics
    from ._install import install, uninstall
    from ._socket import SafeSocket
    from ._websocket.broadcast import Broadcaster
    from ._websocket.plain import WebSocket
    from .emit import EmitResult, safe_emit
    from .logfilter import DisconnectFilter

__version__ = "0.1.0"

__all__ = [
    "Broadcaster",
    "Broken",
    "Busy",
    "CannotGuard",
    "ClosedHere",
    "DisconnectFilter",
    "EmitResult",
    "HangupError",
    "OwnershipViolation",
    "PeerGone",
    "SafeSocket",
    "TimedOut",
    "WebSocket",
    "fds",
    "install",
    "metrics",
    "safe_emit",
    "stats",
    "status",
    "uninstall",
]

# Looked up when first used: a process that only guards sockets need not load the rest.
_LAZY = {
    "Broadcaster": "_websocket.broadcast",
    "DisconnectFilter": "logfilter",
    "EmitResult": "emit",
    "SafeSocket": "_socket",
    "WebSocket": "_websocket.plain",
    "install": "_install",
    "safe_emit": "emit",
    "uninstall": "_install",
}


def stats() -> dict[str, int]:
    """All counters of this process, by name. Totals since it was started or forked; ``open`` is now."""
    from . import _hangup

    return {"open": _hangup.open_descriptors(), **_hangup.totals()}


if not TYPE_CHECKING:  # a type checker would take every submodule for Any

    def __getattr__(name: str) -> Any:
        """Loads a public name."""
        from importlib import import_module

        if name in ("fds", "metrics"):
            return import_module(f".{name}", __name__)
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
