"""A Flask-SocketIO application and a client of it without a transport: what its handlers see, natively and stock."""

from __future__ import annotations

from typing import Any, Callable, Optional

import pytest
from hangup import _install

flask = pytest.importorskip("flask")
flask_socketio = pytest.importorskip("flask_socketio")
from flask import g, request, session  # noqa: E402
from flask.sessions import SecureCookieSessionInterface  # noqa: E402
from werkzeug.test import EnvironBuilder  # noqa: E402

remembered = pytest.mark.skipif(
    "RequestContext" not in vars(flask.ctx), reason="this Flask's contexts are left alone"
)


class Environ(dict[str, Any]):
    """A dict that can be referred to weakly."""


class Client:
    """A client of an application: its events, without the transport."""

    def __init__(
        self, native: bool, app: Any, *, cookie: str = "", taken: bool = True, **options: Any
    ) -> None:
        self.app = app
        self.socketio = flask_socketio.SocketIO(app, async_mode="threading", **options)
        builder = EnvironBuilder(
            "/socket.io/?EIO=4&q=%C3%A4", base_url="http://host.example:81/root/",
            headers={"Cookie": f"color=blue; {cookie}", "X-Test": "yes"},
        )  # fmt: skip
        self.environ = Environ(builder.get_environ())
        self.environ.update({"flask.app": app, "REMOTE_ADDR": "10.0.0.1"})
        if taken:
            self.environ["hangup.taken"] = True
        self.socketio.server.environ["eio"] = self.environ
        for room in (None, "sid"):
            self.socketio.server.manager.basic_enter_room("sid", "/", room, eio_sid="eio")
        if native:
            _install.remember_request(self.environ)

    def handle(self, handler: Callable[..., Any], *args: Any) -> Any:
        """What a handler returns to an event that has its name."""
        return self.socketio._handle_event(handler, handler.__name__, "/", "sid", *args)


def application(kind: Any = flask.Flask, secret: Optional[str] = "not secret") -> Any:
    app = kind("an application")
    app.config["SECRET_KEY"] = secret
    app.add_url_rule("/items/<int:number>", "item", lambda **_: "")
    return app


#: Attributes of a request. Their order matters: some are computed from others, and kept.
SEEN = (
    "method", "scheme", "server", "root_path", "path", "query_string", "remote_addr", "shallow", "args", "full_path",
    "host", "base_url", "cookies", "form", "content_length", "trusted_hosts", "endpoint", "url_rule", "view_args",
    "is_json", "sid", "namespace", "event",
)  # fmt: skip


def look(*args: Any) -> dict[str, Any]:
    """What there is to see."""
    own = request._get_current_object()
    before = set(vars(own)) - {"cookies"}  # which opening a session reads
    is_first = "marked" not in before and "marked" not in g
    own.marked = g.marked = True
    session["looks"] = session.get("looks", 0) + 1
    session.setdefault("list", []).append(len(args))
    return {
        "attributes": sorted(before),
        "request": [repr(own), type(own), *(getattr(own, name) for name in SEEN), repr(own.routing_exception)],
        "headers": sorted(own.headers),
        "json": own.json_module is getattr(flask.current_app, "json", flask.json),
        "url": flask.url_for("item", number=7, _external=True),
        "session": [
            dict(session), type(session._get_current_object()).__name__, session.new, session.modified,
        ],
        "is_own": own.environ["werkzeug.request"] is own,
        "is_first": is_first,
    }  # fmt: skip


def differs(change: Callable[[bool], Any]) -> None:
    natively, stock = change(True), change(False)
    assert natively == stock


def signed(app: Any, **values: Any) -> str:
    """The cookie of a session."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    return f"session={serializer.dumps(values)}"
