"""WebSockets whose bytes are mixed up, cut, or written to by the wrong party."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

_SERVERS = (
    *("gunicorn", "werkzeug", "flask", "gevent.pywsgi", "eventlet.wsgi", "wsgiref"),
    *("engineio", "socketio", "flask_socketio", "flask_sock", "simple_websocket", "geventwebsocket"),
)

FAILURES = (
    Failure(
        code="HUP010",
        title="AssertionError: write() before start_response",
        blame=Blame.SERVER,
        why="WSGI has no word for «this connection is a WebSocket now». Each library has its own way out, "
        "and a server that does not know it answers as if there had been a request: it asserts, misses an "
        "attribute (`'Response' object has no attribute 'status_code'`), or writes a page `500 Internal "
        "Server Error` into the open WebSocket.",
        do="Use a library's way on the server that it was written for, and versions that know each other; "
        "or hangup, which leaves every server by the same way.",
        avoid="Do not return an ordinary response from a WebSocket's route.",
        versions="gunicorn, all; werkzeug; eventlet (`cannot import name 'ALREADY_HANDLED'`: gunicorn "
        "until 20.1 with eventlet 0.30.3 and newer)",
        help=Help.PREVENTS,
        helped="after an upgrade the connection takes no bytes of HTTP any more",
        source="benoitc/gunicorn#1852, #2582; pallets/werkzeug#2865; miguelgrinberg/python-engineio#457",
        signs=(
            Sign("AssertionError", r"^write\(\) before start_response", raised_in=_SERVERS, alone=True),
            Sign(
                "AttributeError",
                r"^'Response' object has no attribute 'status_code'",
                raised_in=_SERVERS,
                alone=True,
            ),
            Sign("ImportError", r"cannot import name 'ALREADY_HANDLED' from 'eventlet\.wsgi'", alone=True),
            Sign("RuntimeError", r"^The gevent-websocket server is not configured appropriately", alone=True),
            Sign("RuntimeError", r"^The eventlet server is not configured appropriately", alone=True),
            Sign("RuntimeError", r"^Cannot obtain socket from WSGI environment", alone=True),
        ),
    ),
    Failure(
        code="HUP011",
        title="StopIteration reported by Sentry or Datadog at the end of each WebSocket",
        blame=Blame.SERVER,
        why="gunicorn's way to say «there is no response» is to raise StopIteration. flask-sock and "
        "python-engineio do, and what watches the application sees an exception.",
        do="Ignore StopIteration from `flask_sock` and `engineio` in the tool that reports it, by these "
        "modules.",
        avoid="Do not ignore StopIteration as such: in a generator of yours it is a bug.",
        versions="flask-sock, python-engineio under gunicorn, all versions",
        help=Help.PREVENTS,
        helped="nothing is raised when a WebSocket leaves the worker",
        source="miguelgrinberg/flask-sock#64, #73; getsentry/sentry-python#3616",
        signs=(
            Sign(
                "StopIteration",
                raised_in=("flask_sock", "engineio", "simple_websocket", "gunicorn", "geventwebsocket"),
            ),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP017",
        title="Could not decode a text frame as UTF-8 (large messages to slow clients under gevent)",
        blame=Blame.SERVER,
        why="simple-websocket ignores how much `send()` has taken. gevent's sockets take a part, the rest "
        "of the frame is lost, and the next frame lands in its middle.",
        do="Do not run simple-websocket 1.1.0 on gevent: use gthread, or hangup.",
        avoid="Do not make messages smaller: it happens less often then, not never.",
        versions="simple-websocket until 1.1.0, on gevent; corrected upstream, not released",
        help=Help.PREVENTS,
        helped="frames are written whole",
        source="miguelgrinberg/simple-websocket#45",
        logged=False,
        signs=(Sign(line=r"Could not decode a text frame as UTF-8", needle="Could not decode a text frame"),),
    ),
    Failure(
        code="HUP018",
        title="WebSocket connection failed: Invalid frame header",
        blame=Blame.SERVER,
        why="Several threads send on one WebSocket of simple-websocket, without a lock. Once the kernel's "
        "buffer is full, pieces of frames alternate. The library's own pongs are a second writer, too.",
        do="Put one lock, or one sending thread, around each WebSocket; or hangup.",
        avoid="Do not turn compression off and think that it was that.",
        versions="simple-websocket until 1.1.0 on gthread and gevent; wsproto is not thread-safe",
        help=Help.PREVENTS,
        helped="whole frames, whoever sends",
        source="python-hyper/wsproto#186; miguelgrinberg/flask-sock#67",
        logged=False,
        signs=(
            Sign(line=r"[Ii]nvalid frame header", needle="nvalid frame header"),
            Sign(line=r"reserved bits are on: reserved1", needle="reserved bits are on"),
            Sign("ProtocolError", r"^(?:invalid opcode|reserved bits must be 0)", alone=True),
        ),
    ),
)
