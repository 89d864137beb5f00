"""ASGI: Channels, daphne, uvicorn, gunicorn's asgi worker."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

FAILURES = (
    Failure(
        code="HUP007",
        title="autobahn.exception.Disconnected: Attempt to send on a closed protocol",
        blame=Blame.CLIENT,
        why="The application sends, or waits for a message, when the client has left. Each server has an "
        "exception of its own for that. `Unexpected ASGI message 'websocket.send', after sending "
        "'websocket.close'` is the other case: the application itself had closed.",
        do="Catch the exception where you send; or wrap the application in `hangup.asgi.Hangup`, under "
        "which a send to a client that left is no error. After a close of your own: send nothing more.",
        avoid="Do not catch `Exception` around a whole consumer: its `disconnect()` is lost then (HUP008).",
        versions="daphne, uvicorn, Starlette, gunicorn's asgi worker, websockets: all versions",
        help=Help.PREVENTS,
        helped="`hangup.asgi.Hangup` and `hangup.channels.HangupConsumerMixin`; elsewhere the line is "
        "demoted, if it is sure that the client left",
        source="django/channels#1820; encode/uvicorn#757, #2271; asgiref#405",
        endings=(
            "uvicorn.protocols.utils.ClientDisconnected",
            "gunicorn.asgi.protocol.ClientDisconnected",
            "gunicorn.asgi.websocket.WebSocketDisconnected",
            "builtins.RuntimeError",
            "builtins.AssertionError",
            "starlette.websockets.WebSocketDisconnect",
            "autobahn.exception.Disconnected",
            "geventwebsocket.exceptions.WebSocketError",
        ),
        signs=(
            Sign("Disconnected", r"^Attempt to send on a closed protocol", alone=True),
            Sign("ClientDisconnected", raised_in=("uvicorn", "gunicorn"), alone=True),
            Sign("WebSocketDisconnected", raised_in=("gunicorn",), alone=True),
            Sign("WebSocketDisconnect", raised_in=("starlette",), alone=True),
            Sign("RuntimeError", r"^Unexpected ASGI message '[\w.]+', after sending", alone=True),
            Sign("RuntimeError", r"^WebSocket closed", raised_in=("gunicorn.asgi",)),
            Sign("RuntimeError", r"^Cannot call \"send\" once a close message has been sent", alone=True),
            Sign("ConnectionClosedError", raised_in=("websockets", "uvicorn"), alone=True),
            Sign("LocalProtocolError", raised_in=("h11", "wsproto", "uvicorn"), alone=True),
            Sign(
                line=r"ASGI callable returned without (?:sending|starting|completing) ",
                needle="ASGI callable returned without ",
            ),
        ),
    ),
    Failure(
        code="HUP008",
        title="Channels: disconnect() is never called, and groups grow",
        blame=Blame.SERVER,
        why="The client leaves while the consumer sends. The server raises from `send`, the consumer ends, "
        "and `websocket.disconnect` is never received: `group_discard` and your clean-up do not run. The "
        "server says nothing.",
        do="Wrap the application: `hangup.asgi.Hangup(app)`, or `hangup.channels.HangupConsumerMixin`.",
        avoid="Do not rely on `disconnect()` alone for what has to be undone; give group memberships an "
        "expiry.",
        versions="Channels under uvicorn and gunicorn's asgi worker, since ASGI 2.4 (2024)",
        help=Help.PREVENTS,
        helped="the disconnect is delivered",
        source="django/channels#1466; encode/uvicorn#226",
        logged=False,
    ),
    Failure(
        code="HUP009",
        title="Application instance … took too long to shut down and was killed",
        blame=Blame.YOURS,
        why="The client left ten seconds ago, and the application still runs: it blocks in synchronous "
        "code or waits for Redis. Cancelling a coroutine does not end the thread that it waits for.",
        do="Give what it waits for a timeout. A view with a loop can ask `request.hangup.gone` in it.",
        avoid="Do not raise daphne's `--application-close-timeout`: the work for nobody only lasts longer.",
        versions="daphne, all versions",
        help=Help.NOTHING,
        helped="",
        source="django/channels#1119; daphne/server.py, `check_timeouts`",
        signs=(Sign(line=r"took too long to shut down and was killed", needle="took too long to shut down"),),
    ),
    Failure(
        code="HUP032",
        title="django.http.request.UnreadablePostError",
        blame=Blame.CLIENT,
        why="The client left in the middle of its upload, and the view read the body. Django logs it as an "
        "error of the view's, and answers 500 to nobody.",
        do="Nothing. With hangup's middleware it is a 499, and counted.",
        avoid="Do not catch `OSError` around the whole view.",
        versions="Django, all; gunicorn (`NoMoreData`), Starlette (`ClientDisconnect`)",
        help=Help.DEMOTES,
        helped="`hangup.django`'s middleware answers 499",
        source="django/http/request.py, `body`; Django ticket 4444",
        endings=(
            "django.http.request.UnreadablePostError",
            "django.core.exceptions.RequestAborted",
            "starlette.requests.ClientDisconnect",
        ),
        signs=(
            Sign("UnreadablePostError", raised_in=("django",), alone=True),
            Sign("NoMoreData", raised_in=("gunicorn.http",), alone=True),
            Sign("ClientDisconnect", raised_in=("starlette",), alone=True),
            Sign("RequestAborted", raised_in=("django",), alone=True),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP031",
        title="A view works on for a client that left",
        blame=Blame.SERVER,
        why="No WSGI server tells an application that its client is gone. It is noticed at the first write.",
        do="`request.hangup.gone` in Django, `hangup.flask.client_gone()` in Flask; streams are closed by "
        "themselves.",
        avoid="Do not read from `wsgi.input` to find out.",
        versions="gunicorn and every WSGI server but waitress",
        help=Help.PREVENTS,
        helped="asks the kernel, without reading",
        source="benoitc/gunicorn#2018; Pylons/waitress#308",
        logged=False,
    ),
)
