"""Flask's contexts of Socket.IO events: what handlers, signals and session interfaces see is what stock shows them."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any, Optional

import pytest

pytest.importorskip("flask_socketio")
from flask import g, request, session
from flask_contexts import Client, application, differs, flask, look, remembered, signed
from hangup._websocket import contexts
from werkzeug.utils import cached_property


@pytest.mark.parametrize("taken", [True, False], ids=["native", "upgraded"])
@pytest.mark.parametrize("managed", [True, False], ids=["managed", "frozen"])
@pytest.mark.parametrize("secret", ["not secret", None])
def test_every_event_has_the_request_and_the_session_of_stock(
    managed: bool, secret: Optional[str], taken: bool
) -> None:
    """Over three events, with a session that the client brought, or with none that can be written."""

    def looks(native: bool) -> Any:
        app = application(secret=secret)
        cookie = signed(app, user="Ada") if secret else ""
        client = Client(native, app, cookie=cookie, taken=taken, manage_session=managed)
        seen: list[Any] = []
        for _ in range(3):
            try:
                seen.append(client.handle(look, "word", 1))
            except RuntimeError as error:  # there is no session to write to
                seen.append(str(error))
        return seen

    seen = looks(True)
    assert all(isinstance(one, str) or (one["is_first"] and one["is_own"]) for one in seen)
    assert seen == looks(False)


class Counted(flask.Request):  # type: ignore[misc]
    """Begins in a way of its own."""

    made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type(self).made += 1
        self.number = type(self).made


class Extended(flask.Request):  # type: ignore[misc]
    """Begins as Flask's."""

    @cached_property
    def label(self) -> list[str]:
        return [self.remote_addr]


class Watched(flask.Request):  # type: ignore[misc]
    """Is told of its attributes."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("names", []).append(name)
        super().__setattr__(name, value)


@pytest.mark.parametrize("kind", [Counted, Extended, Watched])
def test_a_request_class_of_the_application_is_used_as_stock_does(kind: Any) -> None:
    def label(*_: Any) -> Any:
        own = request.label if kind is Extended else ()
        found = [
            *own,
            getattr(request, "number", None),
            getattr(request, "names", None),
            type(request._get_current_object()),
        ]
        request.label = ["changed"]
        return found

    def labels(native: bool) -> Any:
        Counted.made = 0
        app = application()
        app.request_class = kind
        client = Client(native, app)
        return [client.handle(label) for _ in range(3)]

    differs(labels)


def test_cached_properties_stay_with_their_event() -> None:
    """What one event computed, replaced or deleted is not the next one's."""

    def spoil(*_: Any) -> Any:
        before = [request.args.get("q"), request.accept_mimetypes, request.url, request.headers.get("X-Test")]
        request.args, request.url, request.path = {"q": "spoilt"}, "spoilt", "/spoilt"
        del request.method, request.headers
        return before

    def events(native: bool) -> Any:
        client = Client(native, application())
        return [client.handle(spoil) for _ in range(3)]

    differs(events)


@pytest.mark.parametrize("name", [*contexts.READ, "HTTP_X_TEST", "HTTP_COOKIE"])
def test_an_environ_that_an_event_changed_is_read_again(name: str) -> None:
    def change(*_: Any) -> None:
        request.environ[name] = {"SERVER_PORT": "82", "SCRIPT_NAME": "/changed"}.get(name, "changed")

    def events(native: bool) -> Any:
        client = Client(native, application())
        kept = [client.handle(look) for _ in range(2)]
        client.handle(change)
        return kept, client.handle(look), client.handle(look)

    differs(events)


def test_teardown_functions_and_signals_come_once_per_event() -> None:
    """In stock's order, also when a handler fails."""

    def fail(*_: Any) -> None:
        raise ValueError("of a handler")

    def journal(native: bool) -> Any:
        app, told = application(), []
        app.teardown_request(lambda error: told.append(("request", repr(error))))
        app.teardown_appcontext(lambda error: told.append(("application", repr(error))))
        app.before_request(lambda: told.append("before"))
        app.after_request(lambda _: told.append("after"))
        names = ("appcontext_pushed", "appcontext_popped", "appcontext_tearing_down", "request_tearing_down")
        receivers: list[Any] = []
        if flask.signals.__dict__.get("signals_available", True):
            for name in names:
                receivers.append(
                    lambda sender, name=name, **kwargs: told.append((name, sender is app, sorted(kwargs)))
                )
                getattr(flask.signals, name).connect(receivers[-1], app)
        client = Client(native, app)
        for handler in (look, look, fail, look):
            try:
                client.handle(handler)
            except ValueError as error:
                told.append(str(error))
        return told

    differs(journal)


def test_an_event_may_change_the_arguments_of_its_route() -> None:
    def seen(native: bool) -> Any:
        app = application()
        app.add_url_rule("/<path:anything>", "anything", lambda **_: "")
        client = Client(native, app)

        def change() -> Any:
            before = dict(request.view_args)
            request.view_args["more"] = 1
            return before

        return [client.handle(change) for _ in range(2)]

    differs(seen)


def test_two_events_of_one_client_do_not_meet() -> None:
    """One waits while another one comes and goes."""

    def events(native: bool) -> Any:
        client = Client(native, application())
        entered, leave = threading.Event(), threading.Event()
        client.handle(look)

        def wait(*_: Any) -> Any:
            request.mark, g.mark, session["waited"] = "mine", "mine", True
            entered.set()
            assert leave.wait(10)
            return (
                request.mark,
                g.mark,
                request.event,
                dict(session),
                "list" in vars(request._get_current_object()),
            )

        waited: list[Any] = []
        thread = threading.Thread(target=lambda: waited.append(client.handle(wait, "first")))
        thread.start()
        assert entered.wait(10)
        seen = client.handle(look, "second"), client.handle(look, "third")
        leave.set()
        thread.join()
        return seen, waited

    differs(events)


def test_a_copied_context_goes_on_with_its_request_and_session() -> None:
    """``copy_current_request_context`` in a handler, called on another thread when the event is over."""

    def copied(native: bool) -> Any:
        client, later, seen = Client(native, application()), [], []

        def keep(*_: Any) -> None:
            request.mark = "kept"
            session["kept"] = True
            later.append(
                flask.copy_current_request_context(lambda: seen.append((request.mark, dict(session))))
            )

        for _ in range(2):
            client.handle(keep)
        for function in later:
            thread = threading.Thread(target=function)
            thread.start()
            thread.join()
        return seen

    differs(copied)


@remembered
def test_what_is_remembered_ends_with_its_environ() -> None:
    """Without the garbage collector: nothing in it leads back."""
    client = Client(True, application())
    for _ in range(3):
        client.handle(look)
    assert client.environ[contexts.KEY] is not None
    alive = weakref.ref(client.environ)
    gc.disable()
    try:
        del client.socketio.server.environ["eio"], client.environ
        assert alive() is None
    finally:
        gc.enable()


def test_an_application_with_contexts_of_its_own_keeps_them() -> None:
    class Own(flask.Flask):  # type: ignore[misc]
        def request_context(self, environ: Any) -> Any:
            return super().request_context(environ)

    app = application(Own)
    Client(True, app)
    assert "request_context" not in vars(app)
