"""The two faces of a client connection: the server's, and the one its application is given.

gunicorn hands the application its own socket object. Here the application gets another object on the same
connection, so that what it closes is known to be closed by it, and what it upgrades stays its own.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from typing import TYPE_CHECKING, Any, Callable, Optional

from .. import _endpoints, _hangup
from .._green import flavour
from .._socket import SafeSocket, caller
from ..exceptions import HangupError

if TYPE_CHECKING:
    from typing_extensions import Self

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

#: Where gunicorn's workers put the socket: all of them, and gevent_pywsgi.
ENVIRON_KEYS = ("gunicorn.socket", "gunicorn.sock")


class ApplicationSocket(SafeSocket):
    """What the application finds in its environ. A close ends the connection; the server is told quietly."""

    __slots__ = ()

    _role = "application"

    def __new__(cls, server: Any) -> Self:
        self = _hangup.Socket.__new__(cls, server, "application", cls._green)
        self._prepare()
        return self

    def _real_close(self) -> None:
        self._close(caller(1))

    def _twin_class(self) -> type[SafeSocket]:
        return SafeSocket  # a duplicate has one user, whoever of the two made it


class ServerSocket(SafeSocket):
    """What the server holds. Keeps the descriptor's number reserved until the server itself closes."""

    __slots__ = ("_application",)

    _role = "server"
    _application: ApplicationSocket

    def __new__(cls, fd: int) -> Self:
        self = _hangup.Socket.__new__(cls, fd, "server", cls._green)
        self._prepare()
        return self

    def _real_close(self) -> None:
        self._close()

    def _twin_class(self) -> type[SafeSocket]:
        return SafeSocket

    def end(self) -> None:
        """Closes for good, also under files from ``makefile()``, and lets the client read what was sent."""
        with contextlib.suppress(HangupError):  # the client has left already
            self.shutdown(socket.SHUT_WR)
        self._closed = True
        self._real_close()

    def application(self) -> ApplicationSocket:
        """The application's face, the same one for all requests of the connection."""
        try:
            return self._application
        except AttributeError:
            face: ApplicationSocket = flavour(ApplicationSocket, self)(self)
            self._application = face
            if self._green:
                face._turn = self._turn  # type: ignore[attr-defined]
            return face


def server_class() -> type[ServerSocket]:
    """:class:`ServerSocket`, combined with the hub of this process."""
    cls: type[ServerSocket] = flavour(ServerSocket)
    return cls


def takes_over(client: Any) -> Any:
    """The server's face of a hub's client socket, which is left inert; TLS sockets are returned as they are."""
    if isinstance(client, _hangup.Socket) or hasattr(client, "getpeercert"):
        return client
    server = server_class()(client.detach())
    _endpoints.take_over()
    return server


def with_faces(
    application: Application,
    finish: Callable[[Callable[..., Any]], Any],
    logs_end: Callable[[dict[str, Any]], Any],
) -> Application:
    """Wraps a WSGI application so that it is given its own face.

    Args:
        application: gunicorn's ``worker.wsgi``.
        finish: ends a request whose connection the application upgraded by itself, or has taken away; is given
            ``start_response``.
        logs_end: makes what is called at the end of a native WebSocket, of its environ.
    """

    @functools.wraps(application)
    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        face = _give_face(environ)
        if "HTTP_UPGRADE" in environ:
            environ["hangup.on_websocket_end"] = logs_end(environ)
        result = application(environ, start_response)
        if face is not None and (face._is_upgraded or face._is_detached):
            if hasattr(result, "close"):
                result.close()
            return finish(start_response)
        return result

    return guarded


def _give_face(environ: dict[str, Any]) -> Optional[ApplicationSocket]:
    for key in ENVIRON_KEYS:
        server = environ.get(key)
        if isinstance(server, ServerSocket):
            environ[key] = face = server.application()
            return face
    return None
