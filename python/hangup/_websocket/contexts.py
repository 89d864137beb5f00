"""Flask's request and session of a Socket.IO event, read from the client's request once instead of once per event.

Flask-SocketIO runs each event in a request context of its own, for which Flask makes a request object and opens a
session. All events of a client have the environ of one request, so their request objects begin as equals: what the
first one began with is given to those that follow. A session that Flask-SocketIO manages takes the place of the one
that Flask opened; from the second event on it is there from the beginning.

Promised
    Each event has a context and a request object of its own, which share nothing that changes. An environ that was
    changed in between is read again.

How
    ``flask.Flask.request_context`` is replaced on the application, for calls by Flask-SocketIO alone: others have their
    session opened. (Names used: flask/ctx.py, 2.0 to 3.1; flask_socketio/__init__.py, 5.0 to 5.7.)

Not promised
    ``TRUSTED_HOSTS`` that come while a client is connected are not seen by its handlers.
    ``request.cookies`` are parsed when a handler asks for them: stock has done so for the session it opened.
    Session interfaces, and classes of requests that begin in a way of their own, are asked for each event.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable, Optional

from . import routes

#: Where it is kept what a client's requests begin with: in its environ, which lives as long as it does.
KEY = "hangup.request"

#: What a request reads of its environ in the beginning. Its headers are a view.
READ = (
    "REQUEST_METHOD",
    "wsgi.url_scheme",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "HTTP_HOST",
)
#: Attributes of a new request that belong to its event, or to its application.
NOT_KEPT = {"environ", "headers", "json_module"}
UNCHANGEABLE = (str, bytes, bool, tuple, type(None))


def judge(app: Any) -> bool:
    """Whether an application's contexts are those of a Flask that is known. Flask 3.2 opens a session when it is asked
    for, and has no ``RequestContext``.
    """
    flask, socketio = sys.modules["flask"], sys.modules.get("flask_socketio")
    return (
        hasattr(sys, "_getframe")
        and "RequestContext" in vars(flask.ctx)
        and hasattr(socketio, "_ManagedSession")
        and hasattr(getattr(getattr(socketio, "SocketIO", None), "_handle_event", None), "__code__")
        and type(app).request_context is flask.Flask.request_context
    )


def remembering(stock: Callable[[Any], Any], app: Any) -> Callable[[Any], Any]:
    """Stands in for ``flask.Flask.request_context`` of an application that :func:`judge` knows."""
    socketio = sys.modules["flask_socketio"]
    context_class, managed = matching_once(sys.modules["flask"].ctx.RequestContext), socketio._ManagedSession
    handle_event = socketio.SocketIO._handle_event.__code__

    @functools.wraps(stock)
    def request_context(environ: Any) -> Any:
        if sys._getframe(1).f_code is not handle_event:
            return stock(environ)
        session = environ.get("saved_session")
        if type(session) is not managed or not is_cookie(app.session_interface):
            session = None
        beginning = environ.get(KEY)
        request = beginning.request(app, environ) if beginning is not None else None
        if request is None:
            environ[routes.KEY] = None  # since 3.1 Flask prepares a request while it routes it
        context = context_class(app, environ, request, session)
        if request is None:
            environ[KEY] = beginning_of(context.request)
        return context

    return request_context


@functools.cache
def matching_once(stock: Any) -> Any:
    """A class of contexts that do not raise, in order to catch it, what :class:`routes.Adapter` remembers."""

    class RequestContext(stock):  # type: ignore[misc]
        """The context of an event."""

        def match_request(self) -> None:
            failed = getattr(self.url_adapter, "failed", None)
            if failed is None:
                super().match_request()
            else:
                self.request.routing_exception = failed

    return RequestContext


def is_cookie(interface: Any) -> bool:
    """Whether a session interface is Flask's own, which opens a session without anybody noticing."""
    return type(interface) is sys.modules["flask.sessions"].SecureCookieSessionInterface and not vars(
        interface
    )


class Beginning:
    """What the requests of one environ begin with.

    Args:
        kind: their class.
        read: what was read of the environ.
        attributes: those that all of them have.
        has_json: whether Flask gives them the application's JSON provider, as it does since 2.2.
    """

    __slots__ = ("_attributes", "_has_json", "_kind", "_read")

    def __init__(
        self, kind: Any, read: tuple[Any, ...], attributes: dict[str, Any], *, has_json: bool
    ) -> None:
        self._kind = kind
        self._read = read
        self._attributes = attributes
        self._has_json = has_json

    def request(self, app: Any, environ: dict[str, Any]) -> Any:
        """A new request; None if there would be another one today."""
        kind = app.request_class
        if kind is not self._kind or tuple(map(environ.get, READ)) != self._read:
            return None
        request = kind.__new__(kind)
        attributes = vars(request)
        attributes.update(self._attributes)
        attributes["headers"] = sys.modules["werkzeug.datastructures"].EnvironHeaders(environ)
        attributes["environ"] = environ
        if self._has_json:
            attributes["json_module"] = app.json
        environ["werkzeug.request"] = request
        return request


def beginning_of(request: Any) -> Optional[Beginning]:
    """What a request has that nobody has used yet; None if others may not begin so."""
    wrappers, kind = sys.modules["werkzeug.wrappers"], type(request)
    beginnings = ("__new__", "__init__", "__setattr__")
    if any(getattr(kind, name) is not getattr(wrappers.Request, name) for name in beginnings):
        return None
    if request.routing_exception is not None:
        return None
    if type(request.headers) is not sys.modules["werkzeug.datastructures"].EnvironHeaders:
        return None
    attributes = {name: value for name, value in vars(request).items() if name not in NOT_KEPT}
    if not all(
        isinstance(value, UNCHANGEABLE) for name, value in attributes.items() if name != "trusted_hosts"
    ):
        return None
    read = tuple(map(request.environ.get, READ))
    return Beginning(kind, read, attributes, has_json="json_module" in vars(request))
