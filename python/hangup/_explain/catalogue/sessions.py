"""Socket.IO: sessions that are over, or another worker's."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

FAILURES = (
    Failure(
        code="HUP003",
        title="Invalid session … (further occurrences of this error will be logged with level INFO)",
        blame=Blame.CONFIGURATION,
        why="A request names a session that this process does not have. After a restart that is a client "
        "that has not noticed yet. With several workers it is a client whose requests reach different "
        "ones: they share their listener, and each keeps its sessions for itself. Such clients never "
        "connect by polling. It is logged loudly once for each process, so one line can stand for "
        "thousands; count the 400s of `/socket.io/` in the access log.",
        do="hangup, for the workers of one gunicorn (docs/workers.md). Else one worker with threads; or several "
        "processes behind a proxy that keeps a client at one of them, with a message queue; or WebSocket "
        "alone: `io({transports: ['websocket']})`.",
        avoid="Without hangup, do not add workers to a Socket.IO service. `reuse_port` does not keep a client at "
        "its worker.",
        versions="python-engineio, all versions; gunicorn with `--workers` above 1 (`WEB_CONCURRENCY` sets "
        "it on Heroku and others)",
        help=Help.PREVENTS,
        helped="a request goes to the worker that has its session; what is left are sessions that ended, which are "
        "demoted",
        source="miguelgrinberg/Flask-SocketIO#35, #402, #1241; engineio/server.py, `handle_request`",
        texts=("Invalid session ",),
        signs=(
            Sign(
                line=r'"(?:GET|POST) (?=[^ "]*sid=)[^ "]*/socket\.io/[^ "]* HTTP/[\d.]+" 400 ',
                needle='" 400 ',
            ),
        ),
    ),
    Failure(
        code="HUP006",
        title="KeyError: 'Session is disconnected'",
        blame=Blame.CLIENT,
        why="Between looking a session up and using it the session ended: the client left, or its ping "
        "timed out. The same moment makes `Cannot send to sid`, `post request handler error` with "
        "`QueueEmpty`, and «packet queue is empty, aborting» in Python's client.",
        do="Nothing. To know whom a message reached, use `hangup.safe_emit()`, whose result is a value.",
        avoid="Do not wrap each emit in `try`: mostly it is raised in another thread.",
        versions="python-engineio, all versions",
        help=Help.DEMOTES,
        helped="what cannot be sent is a number in the result of `safe_emit()`",
        source="miguelgrinberg/python-engineio#83; miguelgrinberg/Flask-SocketIO#1158; "
        "engineio/base_server.py, `_get_socket`",
        endings=("builtins.KeyError",),
        texts=(
            "'Session is disconnected' ",
            "'Session not found' ",
            "Socket for session ",
            "Unexpected HTTP request for session ",
        ),
        signs=(
            Sign("KeyError", r"^'Session is disconnected'$", raised_in=("engineio.base_server",), alone=True),
            Sign("QueueEmpty", raised_in=("engineio",), alone=True),
            Sign(line=r"(?:^|[\s\]:|])Cannot send to sid [\w-]{20}$", needle="Cannot send to sid "),
            Sign(
                line=r"(?:^|[\s\]:|])packet queue is empty, aborting$",
                needle="packet queue is empty, aborting",
            ),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP035",
        title="Memory grows while a client reads slowly: its queue has no limit",
        blame=Blame.SERVER,
        why="python-engineio keeps a queue for each client, without a limit, and `emit()` never waits. A "
        "client that reads slower than you send keeps everything in memory.",
        do="Send less to it: the newest state instead of every change; or hangup, whose queues have a "
        "limit and a rule.",
        avoid="Do not wait in the handler for the client to catch up.",
        versions="python-engineio, all versions",
        help=Help.PREVENTS,
        helped="a queue has a limit; beyond it, messages are dropped and counted, or the client is closed",
        source="miguelgrinberg/Flask-SocketIO#663, #1081",
        logged=False,
    ),
    Failure(
        code="HUP036",
        title="RuntimeError: dictionary changed size during iteration",
        blame=Blame.SERVER,
        why="A client joins or leaves while its room is iterated for a broadcast. The emit ends in the "
        "middle; in the thread of a message queue it was the last one.",
        do="Upgrade python-socketio and python-engineio.",
        avoid="Do not catch it around `emit()`: the other half of the room has got nothing.",
        versions="python-socketio and python-engineio before 5.10 and 4.8; rare since",
        help=Help.PREVENTS,
        helped="a room is looked through natively",
        source="miguelgrinberg/python-socketio#11, #213; miguelgrinberg/Flask-SocketIO#263",
        signs=(
            Sign(
                "RuntimeError",
                r"^(?:dictionary|Set) changed size during iteration",
                raised_in=("engineio", "socketio", "bidict"),
            ),
        ),
    ),
)
