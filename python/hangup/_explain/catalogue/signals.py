"""A client's end as the kernel tells it."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

FAILURES = (
    Failure(
        code="HUP002",
        title="BrokenPipeError: [Errno 32] Broken pipe / ConnectionResetError: [Errno 104] Connection "
        "reset by peer",
        blame=Blame.CLIENT,
        why="The client closed or reset its connection before the response was written: a page was left, a "
        "tab closed, a load balancer gave up.",
        do="Nothing, if every frame of the traceback is the server's. If one is yours, it is the "
        "connection that this code uses: a database, an upstream server.",
        avoid="Do not catch `OSError` around a view, and do not filter by the words: your database's "
        "resets have the same.",
        versions="all servers: runserver, werkzeug, uWSGI, wsgiref",
        help=Help.DEMOTES,
        helped="by its traceback, never by its words",
        source="Django tickets 4444, 13743; pallets/werkzeug#1649",
        departures=("reset", "pipe", "left", "other", "closed_here"),
        texts=("socket.send() raised exception.",),
        signs=(
            Sign("BrokenPipeError", only_alone=True),
            Sign("ConnectionResetError", only_alone=True),
            Sign(line=r"(?:^|\] )- Broken pipe from \('", needle="- Broken pipe from "),
            Sign(
                line=r"^server=.* client=\S+ socket shutdown error: \[Errno (?:32|104|107|110|113)\]",
                needle="socket shutdown error: ",
            ),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP033",
        title="SIGPIPE: writing to a closed pipe/socket/fd (probably the client disconnected)",
        blame=Blame.CLIENT,
        why="uWSGI wrote to a client that had left. `OSError: write error` in the application's traceback "
        "is the same.",
        do="In uWSGI: `ignore-sigpipe`, `ignore-write-errors`, `disable-write-exception`.",
        avoid="Do not restore the default action of SIGPIPE in a server: the first client that leaves ends "
        "it.",
        versions="uWSGI, all versions",
        help=Help.NOTHING,
        helped="uWSGI is not one of the servers it knows; hangup itself never raises SIGPIPE",
        source="unbit/uwsgi#1171; zulip/zulip#15990",
        signs=(
            Sign(line=r"SIGPIPE: writing to a closed pipe/socket/fd", needle="SIGPIPE: writing to a closed"),
            Sign(line=r"uwsgi_response_write\w+\(\): Broken pipe", needle="uwsgi_response_write"),
            Sign("OSError", r"^write error$", only_alone=True),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP034",
        title="Socket error processing request. TimeoutError: [Errno 110] Connection timed out",
        blame=Blame.CLIENT,
        why="The kernel gave the client up: it vanished, its network did, or it took nothing for too long. "
        "gunicorn is silent about three errnos only, EPIPE, ECONNRESET and ENOTCONN; these are the others: "
        "110, 113, 101, 103, 108, and the end of a TLS stream.",
        do="Nothing.",
        avoid="Do not add errnos to a filter by their number: with a frame of yours in the traceback it is "
        "your database.",
        versions="gunicorn, all versions",
        help=Help.DEMOTES,
        helped="by its traceback",
        source="gunicorn/workers/gthread.py, `handle`; benoitc/gunicorn#1913",
        departures=("aborted", "not_connected", "shut_down", "timed_out", "unreachable", "tls_end"),
        signs=(Sign("TimeoutError", r"^\[Errno 110\]", only_alone=True),),
        harmless=True,
    ),
)
