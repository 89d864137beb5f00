"""The table: which records of which logger only say that a client left.

A message about a client that sent nonsense ("Invalid request from ip=…", "Invalid HTTP request received.", a TLS
handshake with a plain port) has no row: whoever sent it is still there, and operators look for attacks by these lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rows import Printed, Source, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

_CARRIERS = (
    "asyncio",
    "concurrent.futures",
    "eventlet",
    "gevent",
    "h11",
    "hangup",
    "httptools",
    "selectors",
    "simple_websocket",
    "socket",
    "ssl",
    "threading",
    "uvloop",
    "websockets",
    "wsproto",
)

#: What parses the head of a request for http.server, pywsgi and eventlet.wsgi is a part of HTTP's client.
_PARSER = ("http.client",)

# The worker or the master itself fails, or talks to somebody who is not a client; and applications of ours.
_APART = (
    "gunicorn.app",
    "gunicorn.arbiter",
    "gunicorn.config",
    "gunicorn.ctl",
    "gunicorn.dirty",
    "gunicorn.glogging",
    "gunicorn.instrument",
    "gunicorn.pidfile",
    "gunicorn.reloader",
    "gunicorn.systemd",
    "gunicorn.workers.workertmp",
    "hangup._demo",
    "hangup.testing",
)
_GUNICORN_RUNS_APP = frozenset(
    {
        "handle_request",
        "handle_http2_request",
        "__getitem__",  # of gunicorn's file wrapper: reads from the application's file
        "process_result",
        "run_application",
        "_handle_http_request",
        "run",  # of its WebSocket protocol
    }
)

# Clients and message queues of python-socketio are an application's connections to somebody else.
_SOCKETIO = ("engineio", "socketio", "flask_socketio")
_SOCKETIO_APART = tuple(
    f"{package}.{module}"
    for package, modules in (
        ("engineio", ("client", "async_client", "base_client")),
        (
            "socketio",
            (
                *("client", "async_client", "base_client", "simple_client", "async_simple_client"),
                *("pubsub_manager", "redis_manager", "kombu_manager", "kafka_manager", "zmq_manager"),
                *(
                    "async_pubsub_manager",
                    "async_redis_manager",
                    "async_aiopika_manager",
                    "admin",
                    "async_admin",
                ),
            ),
        ),
    )
    for module in modules
)
_SOCKETIO_RUNS_APP = frozenset(
    {
        *("run_handler", "run_async_handler", "_trigger_event", "trigger_event"),
        *("_handle_event", "_handle_event_internal", "_handler"),
    }
)
_INPUT_OF_REQUESTS = (
    *("gunicorn.http", "gunicorn.asgi", "werkzeug.serving", "socketserver", "http.server", "wsgiref"),
    *("eventlet.wsgi", "eventlet.websocket", "gevent.pywsgi", "geventwebsocket", "uvicorn.protocols"),
)
_UVICORN_APART = (
    "uvicorn.config",
    "uvicorn.lifespan",
    "uvicorn.main",
    "uvicorn.server",
    "uvicorn.supervisors",
)
_DAPHNE_APART = ("daphne.cli", "daphne.endpoints", "daphne.management", "daphne.testing")
_TRACEBACK = Printed("Traceback (most recent call last):")

_ENGINEIO_TEXTS = (
    Text(
        "Invalid session ",
        "stale_session",
        "a client goes on with a session that ended, or with one of another worker; many of them mean "
        "several workers without sticky sessions, which the summary shows",
    ),
    # a KeyError as text has its quotes
    Text(
        "'Session is disconnected' ", "stale_session", "a client's poll arrives after its session was closed"
    ),
    Text("'Session not found' ", "stale_session", "the same, a moment later"),
    Text(
        "Socket for session ",
        "stale_session",
        "a request of a client whose session is not open yet, or no more",
    ),
    Text("Unexpected HTTP request for session ", "stale_session", "a poll that its WebSocket has overtaken"),
)


def _socketio(looks_like: str, means: str, texts: tuple[Text, ...] = ()) -> Source:
    return Source(
        server=(*_SOCKETIO, *_INPUT_OF_REQUESTS),
        carriers=_CARRIERS,
        apart=(*_APART, *_SOCKETIO_APART),
        runs_app=_SOCKETIO_RUNS_APP,
        texts=texts,
        looks_like=looks_like,
        means=means,
    )


def _daphne(looks_like: str, means: str) -> Source:
    return Source(
        server=("daphne",),
        carriers=(*_CARRIERS, "asgiref", "autobahn", "twisted"),
        apart=(*_APART, *_DAPHNE_APART),
        runs_app=frozenset({"create_application", "__call__"}),
        printed=(_TRACEBACK,),
        looks_like=looks_like,
        means=means,
    )


#: Logger name to what its server is made of. On a logger without a row only hangup's own types are matched.
TABLE: Mapping[str, Source] = {
    "gunicorn.error": Source(
        server=("gunicorn", "gevent.pywsgi"),
        carriers=_CARRIERS,
        apart=_APART,
        runs_app=_GUNICORN_RUNS_APP,
        looks_like="[ERROR] Socket error processing request. … TimeoutError: [Errno 110] Connection timed out",
        means="a response could not be written, or the next request not read, for another reason than the three errnos "
        "that gunicorn itself turns into DEBUG",
    ),
    "werkzeug": Source(
        server=("werkzeug.serving", "socketserver", "http.server"),
        carriers=(*_CARRIERS, *_PARSER),
        apart=_APART,
        runs_app=frozenset({"execute", "run_wsgi"}),
        printed=(Printed("Error on request:"), Printed("SSL error occurred: ", names_it=False)),
        looks_like="Error on request: Traceback (most recent call last): … OSError: [Errno 113] No route to host",
        means="a response could not be written; werkzeug itself hides every ConnectionError and timeout, an "
        "application's too. Flask-SocketIO's own lines on this logger are advice about the set-up: they pass",
    ),
    "engineio": _socketio(
        "", "`engineio.server`, for those who give their server this logger", _ENGINEIO_TEXTS
    ),
    "engineio.server": _socketio(
        "Invalid session 4f… (further occurrences of this error will be logged with level INFO)",
        "a request of a client whose session is over, a body that ended early (`post request handler error`), or a "
        "handler that used a session which had just ended (`message handler error`)",
        _ENGINEIO_TEXTS,
    ),
    "socketio": _socketio("", "`socketio.server`, for those who give their server this logger"),
    "socketio.server": _socketio(
        "KeyError: 'Session is disconnected'",
        "a session that had just ended was used; message queues that fail are the application's and pass",
    ),
    "django.request": Source(
        server=(
            "django.core.handlers",
            "django.http.request",
            "django.http.multipartparser",
            *_INPUT_OF_REQUESTS,
        ),
        carriers=_CARRIERS,
        apart=_APART,
        runs_app=frozenset({"__call__", "inner", "_get_response", "_get_response_async", "get_response"}),
        looks_like="Internal Server Error: /upload … django.http.request.UnreadablePostError: …",
        means="a view read the body of a client that was gone",
    ),
    "django.server": Source(
        server=("django.core.servers", "socketserver", "http.server", "wsgiref"),
        carriers=(*_CARRIERS, *_PARSER),
        apart=_APART,
        runs_app=frozenset({"run", "finish_response"}),
        printed=(Printed("- Broken pipe from %s", names_it=False),),
        looks_like="- Broken pipe from ('203.0.113.7', 51512)",
        means="runserver's client left before its response was written",
    ),
    "daphne.server": _daphne(
        "Exception inside application: Attempt to send on a closed protocol",
        "the application sent between the client's close and Channels' noticing. `took too long to shut down and was "
        "killed` is about an application that blocks, and passes",
    ),
    "daphne.http_protocol": _daphne(
        "Traceback (most recent call last): …", "a request could not be read or answered"
    ),
    "daphne.ws_protocol": _daphne(
        "Traceback (most recent call last): …", "a handshake could not be answered"
    ),
    "uvicorn.error": Source(
        server=("uvicorn", "websockets.legacy"),
        carriers=_CARRIERS,
        apart=(*_APART, *_UVICORN_APART),
        runs_app=frozenset({"run_asgi", "__call__", "wsgi"}),
        looks_like="Exception in ASGI application … starlette.websockets.WebSocketDisconnect: (1006, '')",
        means="the application did not catch that its client left. `ASGI callable returned without completing "
        "response.` is logged only while the client is there, and passes",
    ),
    "asyncio": Source(
        server=("uvicorn", "gunicorn.asgi", "daphne", "hangup._websocket", *_SOCKETIO),
        carriers=(*_CARRIERS, "asgiref", "autobahn", "twisted"),
        apart=(*_APART, *_UVICORN_APART, *_DAPHNE_APART, *_SOCKETIO_APART),
        runs_app=_SOCKETIO_RUNS_APP
        | {"run_asgi", "_handle_http_request", "run", "create_application", "__call__"},
        texts=(
            Text(
                "socket.send() raised exception.",
                "reset",
                "the server goes on writing to a connection that is lost; when the application's own code writes to a "
                "transport, it passes",
            ),
        ),
        looks_like="Task exception was never retrieved … ClientDisconnected",
        means="a task of the application sent to a client that left, and nobody asked how it ended",
    ),
    "hangup.threads": Source(
        server=(*_SOCKETIO, *_INPUT_OF_REQUESTS, "gunicorn", "flask_sock"),
        carriers=(*_CARRIERS, *_PARSER),
        apart=(*_APART, *_SOCKETIO_APART),
        runs_app=_SOCKETIO_RUNS_APP | _GUNICORN_RUNS_APP | {"execute", "run_wsgi"},
        channel="`threading.excepthook`",
        looks_like="Exception in thread Thread-7 (writer): … BrokenPipeError: [Errno 32] Broken pipe",
        means="a thread of python-engineio or of the server ended because its client was gone",
    ),
    "hangup.gevent": Source(
        server=(
            *_SOCKETIO,
            "gevent.pywsgi",
            "gevent.baseserver",
            "geventwebsocket",
            "gunicorn",
            "flask_sock",
        ),
        carriers=(*_CARRIERS, *_PARSER, "_socket"),
        apart=(*_APART, *_SOCKETIO_APART),
        runs_app=_SOCKETIO_RUNS_APP | _GUNICORN_RUNS_APP,
        channel="`gevent.hub.Hub.handle_error` and pywsgi's `traceback.print_exc()`",
        looks_like="TimeoutError: [Errno 110] … <Greenlet at 0x…: _handle_and_close_when_done(…)> failed with …",
        means="a greenlet of the server ended because its client was gone",
    ),
    "hangup.eventlet": Source(
        server=(*_SOCKETIO, "eventlet.wsgi", "eventlet.websocket", "gunicorn", "flask_sock"),
        carriers=(*_CARRIERS, *_PARSER, "greenlet"),
        apart=(*_APART, *_SOCKETIO_APART),
        runs_app=_SOCKETIO_RUNS_APP | _GUNICORN_RUNS_APP | {"handle_one_response"},
        channel="eventlet's hub (`squelch_exception` and its kin), what `eventlet.wsgi` and its WebSocket write",
        printed=(_TRACEBACK, Printed("server=", names_it=False)),
        looks_like="server=…/socket.io/ client=… socket shutdown error: [Errno 32] …",
        means="a green thread of the server ended because its client was gone",
    ),
}
