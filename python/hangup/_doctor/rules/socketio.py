"""HUP2xx: Socket.IO's options, and what the application is served by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts
from ..registry import ERROR, INFO, WARNING, rule
from ..service import WSGI_WORKERS

_ENGINEIO = "python-socketio.readthedocs.io/en/stable/api.html"
#: Which workers an ``async_mode`` runs under.
_WORKERS = {
    "threading": WSGI_WORKERS,  # whose threads are greenlets where the standard library is patched
    "gevent": ("gevent", "geventwebsocket"),
    "eventlet": ("eventlet",),
    "gevent_uwsgi": (),
}


@rule(
    "HUP201", "async-mode-contradicts-the-worker", ERROR,
    wrong="`async_mode` is of another kind than gunicorn's worker.",
    seen="Emits that never arrive, clients that hang in \"connecting\", `RuntimeError: You need to use the eventlet "
    "server`, `greenlet.error: cannot switch to a different thread`.",
    mend="sync and gthread: `threading`; `-k gevent`: `gevent`; `-k eventlet`: `eventlet`.",
    hangup="no difference: the handlers run in what the mode says.",
    source="flask-socketio.readthedocs.io/en/latest/deployment.html",
)  # fmt: skip
def async_mode(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        mode = server.option("async_mode")
        allowed = _WORKERS.get(mode.value) if isinstance(mode.value, str) else None
        for service in facts.gunicorns:
            if allowed is not None and service.worker in WSGI_WORKERS and service.worker not in allowed:
                where = service.where("worker_class")
                text = f"async_mode={mode.value!r}, and the worker is {service.worker} ({where})"
                yield mode.place, text, mode.value


@rule(
    "HUP202", "async-mode-guessed", ERROR,
    wrong="No `async_mode`, threads for workers, and eventlet or gevent among the requirements: python-engineio "
    "takes "
    "the first of eventlet, gevent and threading that it can import.",
    seen="It works until somebody installs eventlet; then emits never arrive, and `greenlet.error` is in the log.",
    mend="`async_mode=\"threading\"`.",
    hangup="no difference.",
    source="python-engineio, base_server.py async_modes()",
)  # fmt: skip
def async_mode_guessed(facts: Facts) -> Iterator[Any]:
    known = facts.required if facts.requirements else {
        name for name, package in facts.packages.items() if package.origin == "installed"
    }  # fmt: skip
    hub = next((name for name in ("eventlet", "gevent") if name in known), None)
    for server in facts.application.servers:
        if hub is None or server.kind == "AsyncServer" or server.option("async_mode").value is not None:
            continue
        for service in facts.gunicorns:
            if service.worker in ("sync", "gthread"):
                yield server.place, f"no async_mode: {hub} is taken, and the worker is {service.worker}", hub


@rule(
    "HUP203", "not-monkey-patched", ERROR,
    wrong="A mode of eventlet or gevent with a message queue, and nobody patches the standard library.",
    seen="The process stands still as soon as it listens to Redis: no client connects, \"ping timeout\" for all.",
    mend="`eventlet.monkey_patch()` or `gevent.monkey.patch_all()` in the very first lines, or the worker of "
    "the same name.",
    hangup="no difference.",
    source="flask-socketio.readthedocs.io, \"Using Multiple Workers\": the message queue needs it",
)  # fmt: skip
def monkey_patch(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        mode, queue = server.option("async_mode"), server.option("message_queue").value
        if mode.value not in ("eventlet", "gevent") or not queue:
            continue
        patched = mode.value in facts.application.monkey_patches
        by_worker = any(
            (mode.value in service.worker and not service.setting("preload_app").value) or not service.worker
            for service in facts.gunicorns
        )
        if not patched and not by_worker:
            yield (
                mode.place,
                f"async_mode={mode.value!r} with a message queue, and nothing patches",
                mode.value,
            )


@rule(
    "HUP204", "monkey-patched-under-threads", ERROR,
    wrong="The application patches the standard library, and gunicorn's worker has threads.",
    seen="`RuntimeError: cannot release un-acquired lock`, `greenlet.error: cannot switch to a different thread`, "
    "requests that never end.",
    mend="Take the patch out, or the worker of the same name.",
    hangup="no difference.",
    source="gunicorn#1566; eventlet.readthedocs.io/en/latest/patching.html",
)  # fmt: skip
def patched_under_threads(facts: Facts) -> Iterator[Any]:
    for hub, place in facts.application.monkey_patches.items():
        for service in facts.gunicorns:
            if service.worker in ("sync", "gthread"):
                yield (
                    place,
                    f"{hub} patches, and the worker is {service.worker} ({service.where('worker_class')})",
                    hub,
                )


@rule(
    "HUP205", "any-origin-with-sessions", WARNING,
    wrong="`cors_allowed_origins=\"*\"`, and users are known by a cookie.",
    seen="Any page that a user visits may open a Socket.IO connection as that user, and read what it is sent.",
    mend="Name the origins; none at all allows the service's own.",
    hangup="no difference.",
    source="RFC 6455 §10.2; CWE-1385; " + _ENGINEIO + ": disables the check",
)  # fmt: skip
def any_origin(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        origins = server.option("cors_allowed_origins")
        if origins.value in ("*", ["*"]) and facts.application.has_sessions:
            yield origins.place, f"any origin; sessions in {facts.application.has_sessions.file}", "*"


@rule(
    "HUP206", "ping-in-milliseconds", ERROR,
    wrong="`ping_interval` or `ping_timeout` of a thousand and more: they are seconds, in JavaScript they are "
    "milliseconds.",
    seen="Clients that vanished stay for hours: descriptors, threads and members of rooms grow.",
    mend="25 and 20 are the defaults.",
    hangup="no difference: the deadline is what you set.",
    source=_ENGINEIO,
)  # fmt: skip
def milliseconds(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        for name, default in (("ping_interval", 25), ("ping_timeout", 20)):
            number = server.number(name, default)
            if number is not None and number >= 1000:
                yield server.option(name).place, f"{name}={number:g} is {number / 60:.0f} minutes", number


@rule(
    "HUP207", "ping-timeout-too-short", WARNING,
    wrong="`ping_timeout` under 5 s.",
    seen="Phones and slow networks are disconnected with \"ping timeout\", and come back, in turns.",
    mend="20 is the default.",
    hangup="no difference: the deadline is what you set.",
    source=_ENGINEIO,
)  # fmt: skip
def short_ping_timeout(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        number = server.number("ping_timeout", 20)
        if number is not None and number < 5:
            yield server.option("ping_timeout").place, f"ping_timeout={number:g}", number


@rule(
    "HUP208", "asyncio-server-under-a-wsgi-worker", ERROR,
    wrong="An `AsyncServer` is served by a WSGI worker, or a WSGI `Server` by an ASGI one.",
    seen="`TypeError: __call__() missing 1 required positional argument: 'send'`, or 500 for each request.",
    mend="`-k uvicorn.workers.UvicornWorker`, `-k asgi`, or uvicorn for `AsyncServer`; gthread for `Server` and "
    "`SocketIO`.",
    hangup="no difference.",
    source="python-socketio.readthedocs.io/en/stable/server.html#deployment-strategies",
)  # fmt: skip
def wrong_interface(facts: Facts) -> Iterator[Any]:
    kinds = {server.kind == "AsyncServer" for server in facts.application.servers}
    if len(kinds) != 1:
        return
    server = facts.application.servers[0]
    for service in facts.services:
        is_wsgi = service.server == "gunicorn" and service.worker in WSGI_WORKERS
        if (is_wsgi and server.kind == "AsyncServer") or (service.is_asgi and server.kind != "AsyncServer"):
            name = service.worker if service.server == "gunicorn" else service.server
            yield service.where("worker_class"), f"{name} serves the {server.kind} of {server.place}", name


@rule(
    "HUP209", "huge-messages", WARNING,
    wrong="`max_http_buffer_size` of 100 MB and more: each client may have as much kept for it.",
    seen="Memory grows until the kernel ends the worker: \"Worker was sent SIGKILL! Perhaps out of memory?\".",
    mend="As much as a message of yours needs; files by HTTP.",
    hangup="a message too big is refused by its header; one that is allowed still takes its memory.",
    source=_ENGINEIO + ": 1,000,000",
)  # fmt: skip
def huge_messages(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        number = server.number("max_http_buffer_size", 1_000_000)
        if number is not None and number >= 100_000_000:
            yield server.option("max_http_buffer_size").place, f"max_http_buffer_size={number:,.0f}", number


@rule(
    "HUP210", "packets-in-the-log", INFO,
    wrong="`logger=True` or `engineio_logger=True`: a line for each packet.",
    seen="Logs full of \"Received packet PONG\"; what users wrote is in them.",
    mend="Leave it to development.",
    hangup="native WebSockets log their packets at DEBUG only; polls do as ever.",
    source=_ENGINEIO,
    is_mended=True,
)  # fmt: skip
def loggers(facts: Facts) -> Iterator[Any]:
    for server in facts.application.servers:
        for name in ("logger", "engineio_logger"):
            option = server.option(name)
            if option.value is True and facts.services:
                yield option.place, f"{name}=True", True, edits.keyword(option.place, name, "False")


@rule(
    "HUP211", "client-of-another-protocol", ERROR,
    wrong="A page loads a socket.io-client that does not speak the server's protocol: 2 speaks to python-socketio 4, "
    "3 and 4 to python-socketio 5.",
    seen="400 \"The client is using an unsupported version of the Socket.IO or Engine.IO protocols\", again and "
    "again.",
    mend="socket.io-client 4 with python-socketio 5.",
    hangup="no difference.",
    source="flask-socketio.readthedocs.io/en/latest/intro.html#version-compatibility",
)  # fmt: skip
def client_version(facts: Facts) -> Iterator[Any]:
    version = facts.version("python-socketio")
    if not version or not facts.application.servers:
        return
    for client in facts.application.clients:
        if (client.value <= 2) != (version[0] <= 4):
            text = f"socket.io-client {client.value}, and python-socketio is {facts.packages['python-socketio'].text}"
            yield client.place, text, client.value
