"""Flask's session interfaces in Socket.IO events: they are asked what stock asks them, as often."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("flask_socketio")
from flask import request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionInterface
from flask_contexts import Client, application, differs, flask, look, remembered, signed


class Interface(SessionInterface):  # type: ignore[misc]
    """Keeps sessions on the server, and writes down what it is asked."""

    def __init__(self, opens: bool) -> None:
        self.calls: list[str] = []
        self.kept: dict[str, Any] = {}
        self._opens = opens

    def open_session(self, app: Any, request: Any) -> Any:
        self.calls.append(f"open {request.path} {flask.has_request_context()}")
        return SecureCookieSession(self.kept) if self._opens else None

    def save_session(self, app: Any, session: Any, response: Any) -> None:
        self.calls.append(f"save {sorted(session)}")
        self.kept = dict(session)


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("managed", [True, False], ids=["managed", "frozen"])
def test_a_session_interface_of_the_application_is_asked_as_often_as_by_stock(
    managed: bool, opens: bool
) -> None:
    """Also one that opens none, so that Flask makes a null session."""

    def calls(native: bool) -> Any:
        app = application()
        app.session_interface = Interface(opens)
        client = Client(native, app, manage_session=managed)
        seen: list[Any] = []
        for _ in range(3):
            try:
                seen.append(client.handle(look)["session"])
            except RuntimeError as error:
                seen.append(type(error))
        return seen, app.session_interface.calls

    differs(calls)


def test_a_session_interface_that_is_changed_in_place_is_asked() -> None:
    def calls(native: bool) -> Any:
        app = application()
        app.session_interface = SecureCookieSessionInterface()  # or else it is that of all applications
        client, asked = Client(native, app), []
        stock = app.session_interface.open_session

        def open_session(*args: Any) -> Any:
            asked.append(1)
            return stock(*args)

        app.session_interface.open_session = open_session
        client.handle(look)
        client.handle(look)
        return len(asked)

    differs(calls)


@remembered
def test_the_sessions_of_one_client_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flask's own interface is not asked for what Flask-SocketIO is about to replace."""
    opened = []
    stock = SecureCookieSessionInterface.get_signing_serializer

    def get_signing_serializer(self: Any, app: Any) -> Any:
        opened.append(1)
        return stock(self, app)

    monkeypatch.setattr(SecureCookieSessionInterface, "get_signing_serializer", get_signing_serializer)
    client = Client(True, application())
    assert [client.handle(look)["session"][0]["looks"] for _ in range(3)] == [1, 2, 3]
    assert len(opened) == 1


def test_a_context_that_the_application_makes_has_the_session_of_the_cookie() -> None:
    """A task of the application's, with the environ of a client: the managed session is not Flask's."""

    def change(native: bool) -> Any:
        app = application()
        client = Client(native, app, cookie=signed(app, user="Ada"))
        client.handle(look)
        with app.request_context(client.environ):
            return dict(session), request.path, hasattr(request, "sid")

    differs(change)
