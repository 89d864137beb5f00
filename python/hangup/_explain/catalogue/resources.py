"""Descriptors, threads and connections that run out."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

FAILURES = (
    Failure(
        code="HUP012",
        title="ValueError: Invalid file descriptor: -1",
        blame=Blame.SERVER,
        why="gunicorn's gthread worker registered connections with its poller from several threads. A "
        "connection that was closed meanwhile is asked for by -1, or is not registered any more "
        "(`KeyError: … is not registered`), or its number is registered twice; the worker dies.",
        do="Upgrade gunicorn to 24 or newer.",
        avoid="Do not lower `keepalive` to 0 instead: the deadlock at `worker_connections` stays.",
        versions="gunicorn's gthread until 23.0",
        help=Help.PREVENTS,
        helped="connections that were closed by the application are taken out of the poller",
        source="benoitc/gunicorn#3026, #3029, #1258, #3157",
        signs=(
            Sign(
                "ValueError",
                r"^Invalid file descriptor: -1",
                passes=("gunicorn.workers.gthread",),
                alone=True,
            ),
            Sign(
                "KeyError",
                r"is (?:not|already) registered",
                raised_in=("gunicorn.workers.gthread",),
                passes=("selectors",),
            ),
        ),
    ),
    Failure(
        code="HUP014",
        title="Threads run out while Socket.IO says that its clients have left",
        blame=Blame.SERVER,
        why="When a ping times out, python-engineio closes its session, not the connection. The thread "
        "that sends to the client, and the one that waits for it, stay until the kernel gives up: about 15 "
        "minutes.",
        do="hangup; or TCP_USER_TIMEOUT on the listener, and a proxy that ends silent connections.",
        avoid="Do not raise `--threads`: that only delays it.",
        versions="python-engineio on gthread and gevent, all versions",
        help=Help.PREVENTS,
        helped="a silent client is gone by a deadline, with all that it had",
        source="miguelgrinberg/flask-sock#78; engineio/socket.py",
        logged=False,
    ),
    Failure(
        code="HUP015",
        title="Sockets pile up in CLOSE_WAIT",
        blame=Blame.YOURS,
        why="The client has closed, and nobody reads the connection: the view waits for something else, or "
        "a stream has nothing to send.",
        do="Find the view with `hangup.fds.leaks()`; give what it waits for a timeout; send a comment line "
        "every few seconds in event streams.",
        avoid="Do not change the kernel's TCP settings: no timer ends CLOSE_WAIT.",
        versions="every WSGI server",
        help=Help.COUNTS,
        helped="`hangup.fds` names the endpoint; streams of Django and Flask are closed",
        source="gevent/gevent#464, #1208; benoitc/gunicorn#2707",
        logged=False,
    ),
    Failure(
        code="HUP016",
        title="OSError: [Errno 24] Too many open files",
        blame=Blame.SYSTEM,
        why="The process has as many descriptors as it may. gunicorn's gthread worker dies of it, with all "
        "its connections; eventlet's stops to accept for good (`Removing descriptor: 5`); the asgi worker "
        "writes thousands of tracebacks.",
        do="Raise the limit (`LimitNOFILE=65536` in systemd, `ulimits` in Docker), and look whether "
        "something leaks: `hangup.fds.leaks()`. `filedescriptor out of range in select()` needs no limit "
        "but a program without select.",
        avoid="Do not restart on a timer: find out whether it is load or a leak.",
        versions="every server; the default limit is 1024 on most systems",
        help=Help.PREVENTS,
        helped="new clients wait in the backlog, live connections go on, the worker lives",
        source="benoitc/gunicorn#3339, #2994; eventlet/hubs/hub.py, `remove_descriptor`",
        signs=(
            Sign("OSError", r"^\[Errno (?:24|23)\]", alone=True),
            Sign("ValueError", r"^filedescriptor out of range in select\(\)", alone=True),
            Sign(line=r"^Removing descriptor: \d+", needle="Removing descriptor: "),
            Sign(line=r"socket\.accept\(\) out of system resource", needle="out of system resource"),
            Sign(line=r"\(24: Too many open files\)", needle="(24: Too many open files)"),
        ),
    ),
    Failure(
        code="HUP020",
        title="gunicorn 26 and 27 answer nobody for half a minute, without a log line",
        blame=Blame.SERVER,
        why="gthread waits for each client to close, up to two seconds, on the main thread: twenty clients "
        "that do not close are half a minute without an accept. The heartbeat goes on, so no timeout "
        "tells.",
        do="A proxy in front, which closes at once; gunicorn 25; or hangup.",
        avoid="Do not raise `--threads`.",
        versions="gunicorn 26.0 to 27.0.1, gthread",
        help=Help.PREVENTS,
        helped="waiting for clients to close is done natively",
        source="gunicorn/util.py, `close_graceful`; `hangup demo --only lingering-close`",
        logged=False,
    ),
    Failure(
        code="HUP021",
        title="gunicorn's worker_connections limits nothing any more: nr_conns below zero",
        blame=Blame.SERVER,
        why="A WebSocket library closed the socket first; gthread's close raises, and the connection is "
        "subtracted twice.",
        do="gunicorn 25, or hangup.",
        avoid="Do not rely on `worker_connections` there.",
        versions="gunicorn 26.0 to 27.0.1, gthread",
        help=Help.PREVENTS,
        helped="closing again is no error",
        source="gunicorn/workers/gthread.py, `finish_request`; `hangup demo --only connection-count`",
        logged=False,
    ),
)
