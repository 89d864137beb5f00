"""Workers that begin, fork, block and end."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

FAILURES = (
    Failure(
        code="HUP028",
        title="SSL error: decryption failed or bad record mac (after fork)",
        blame=Blame.YOURS,
        why="A connection, an epoll descriptor or a runtime was made before gunicorn forked "
        "(`preload_app`), and all workers use the same one.",
        do="Connect in the worker: in `post_fork`, or at first use; `engine.dispose()` for SQLAlchemy.",
        avoid="Do not open connections at import.",
        versions="every forking server, with `--preload` above all",
        help=Help.NOTHING,
        helped="hangup's own engine is made anew in each worker",
        source="benoitc/gunicorn#1953, #2478, #654",
        signs=(
            Sign(
                "OperationalError",
                r"decryption failed or bad record mac|SSL SYSCALL error: EOF detected",
                alone=True,
            ),
            Sign("SSLError", r"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", alone=True),
        ),
    ),
    Failure(
        code="HUP029",
        title="Worker graceful timeout (pid:…)",
        blame=Blame.CONFIGURATION,
        why="A worker was to end, by a reload or `max_requests`, and its connections did not end in time. "
        "They are cut. Each poll of Socket.IO counts as a request, so `max_requests` comes early.",
        do="Raise `--graceful-timeout` above your longest request, set `--max-requests-jitter`, and tell "
        "WebSockets to come back: hangup does.",
        avoid="Do not use `max_requests` against a leak in a service with WebSockets.",
        versions="gunicorn, all versions",
        help=Help.PREVENTS,
        helped="WebSockets get a close frame that sends them to the next worker",
        source="benoitc/gunicorn#3038, #3227; gunicorn/workers/ggevent.py, `run`",
        signs=(
            Sign(line=r"Worker graceful timeout \(pid:", needle="Worker graceful timeout"),
            Sign("GreenletExit", passes=("gunicorn", "gevent.pywsgi", "engineio")),
        ),
    ),
    Failure(
        code="HUP030",
        title="[CRITICAL] WORKER TIMEOUT (pid:…)",
        blame=Blame.CONFIGURATION,
        why="A worker gave no sign of life for `--timeout` seconds, and was killed with all its "
        "connections. A sync worker gives none while a request lasts: a WebSocket, an event stream, a long "
        "poll, a slow client. Others give none only if their main thread or loop is blocked.",
        do="Long-lived connections: `-k gthread --threads 100`. If it is gthread, gevent or asgi already: "
        "find what blocks, the traceback that follows shows it. A SIGKILL with it, «Perhaps out of "
        "memory?», means memory only if the kernel's log says so.",
        avoid="Do not raise `--timeout` to hours: hung workers are then kept for hours.",
        versions="gunicorn, all versions",
        help=Help.PREVENTS,
        helped="WebSockets leave the worker, so that a sync worker serves them too; other long requests: "
        "nothing",
        source="miguelgrinberg/Flask-SocketIO#865, #1572; benoitc/gunicorn#1497",
        signs=(
            Sign(line=r"WORKER TIMEOUT \(pid:", needle="WORKER TIMEOUT"),
            Sign("SystemExit", passes=("gunicorn.workers.base:handle_abort",)),
        ),
    ),
    Failure(
        code="HUP045",
        title="Worker (pid:…) was sent SIGKILL! Perhaps out of memory?",
        blame=Blame.SYSTEM,
        why="gunicorn guesses: the worker died of signal 9. Either the kernel had no memory left, or "
        "gunicorn itself killed it, a moment after `WORKER TIMEOUT`.",
        do="Look above the line for WORKER TIMEOUT: then it is HUP030. Else `journalctl -k | grep -i oom`, "
        "and the memory of the service over time.",
        avoid="Do not add memory before you know.",
        versions="gunicorn 20 and newer",
        help=Help.NOTHING,
        helped="",
        source="gunicorn/arbiter.py, `reap_workers`",
        signs=(Sign(line=r"was sent SIGKILL!", needle="was sent SIGKILL!"),),
    ),
    Failure(
        code="HUP046",
        title="Worker (pid:…) exited with code 255",
        blame=Blame.SERVER,
        why="A worker ended by an exception, with all its connections; gunicorn starts another. gunicorn "
        "21 says it twice.",
        do="The reason stands above it: `Exception in worker process` and a traceback. With code 3 or 4 "
        "the application could not be loaded, and gunicorn gives up (`Worker failed to boot`).",
        avoid="Do not restart the service: that is what has just happened.",
        versions="gunicorn, all versions",
        help=Help.PREVENTS,
        helped="the deaths of a worker by HUP012 and HUP016; not those by the application",
        source="gunicorn/arbiter.py, `reap_workers`",
        signs=(
            Sign(line=r"Worker \(pid:\d+\) exited with code \d+", needle=" exited with code "),
            Sign(line=r"Worker failed to boot", needle="Worker failed to boot"),
            Sign("HaltServer", passes=("gunicorn.arbiter",)),
        ),
    ),
)
