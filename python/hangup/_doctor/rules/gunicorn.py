"""HUP1xx: how gunicorn, or another server, is started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts
from ..reading.nginx import span
from ..registry import ERROR, INFO, WARNING, rule
from ..service import ASGI_SERVERS, ASGI_WORKERS, Service

SETTINGS = "https://docs.gunicorn.org/en/stable/settings.html"
#: From these on a worker has its sockets in a hub: patching after the import of an application is too late.
HUBS = ("gevent", "geventwebsocket", "eventlet")


def said(value: Any) -> str:
    """What was taken for granted, behind a value."""
    return f" (if {value.assumed})" if value.assumed else ""


@rule(
    "HUP100", "gunicorn-configuration-unreadable", ERROR,
    wrong="gunicorn's configuration file cannot be read as Python.",
    seen="gunicorn ends at once with \"Failed to read config file\".",
    mend="Mend what is named: `python -m py_compile FILE` says the same.",
    hangup="no difference.",
    source="gunicorn, app/base.py",
)  # fmt: skip
def unreadable(facts: Facts) -> Iterator[Any]:
    for notice in facts.notices:
        if notice.code == "HUP100" and notice.place:
            yield notice.place, notice.text


@rule(
    "HUP101", "sync-worker-with-websockets", ERROR,
    wrong="Sync workers serve WebSockets: one client holds a whole worker.",
    seen="\"[CRITICAL] WORKER TIMEOUT\" after `timeout` seconds, then \"SystemExit: 1\"; meanwhile nobody else "
    "is served.",
    mend="`worker_class = \"gthread\"` with threads, or `gunicorn -c python:hangup.gunicorn`.",
    hangup="silent: the connection leaves the worker after its handshake.",
    source="gunicorn#1497, Flask-SocketIO#865, Flask-SocketIO#1572",
)  # fmt: skip
def sync_worker(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        if service.worker == "sync" and facts.gives_websockets(service) and facts.is_native(service) is False:
            number = service.processes
            held = (
                "the only worker"
                if number == 1
                else "a worker"
                if number is None
                else f"one of {number} workers"
            )
            yield service.where("worker_class"), f"the worker is sync: one client holds {held}", "sync"


@rule(
    "HUP103", "too-few-threads", WARNING,
    wrong="Each WebSocket holds one of the worker's threads as long as it is open, and there are fewer than clients.",
    seen="Clients beyond the number of threads wait for ever; so do plain requests: 502 and 504 from the proxy.",
    mend="As many threads as clients, `-k gevent`, or `gunicorn -c python:hangup.gunicorn`.",
    hangup="silent: a WebSocket holds no thread.",
    source="Zipstack/unstract#2241, flask-sock#78; python-engineio, async_drivers/_websocket_wsgi.py",
)  # fmt: skip
def threads(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        number, workers = service.number("threads"), service.processes
        if (
            service.worker != "gthread"
            or not facts.gives_websockets(service)
            or facts.is_native(service) is not False
        ):
            continue
        if number is not None and workers is not None and number * workers < facts.clients:
            value = service.setting("threads")
            yield (
                value.place,
                f"{number} threads{said(value)} x {workers} worker{'s'[: workers > 1]}: client {number * workers} "
                f"takes the last one; {facts.clients} are expected (--clients)",
                number,
            )


def sessions_stay(facts: Facts) -> bool:
    """Whether all transports need only one request."""
    transports = [server.option("transports").value for server in facts.application.servers]
    return all(
        (isinstance(each, list) and "polling" not in each) or each == "websocket" for each in transports
    )


def knows_siblings(facts: Facts, service: Service) -> bool:
    """Whether all processes of a service are workers of one gunicorn whose clients hangup passes between them."""
    is_guarded = service.server == "gunicorn" and service.is_guarded(facts.version("gunicorn"))
    return bool(is_guarded) and service.replicas == 1


@rule(
    "HUP104", "several-workers-without-affinity", ERROR,
    wrong="Several workers behind one address, and Socket.IO may poll: requests of one session reach any of them.",
    seen="400 \"Invalid session\", clients that connect and disconnect in turns.",
    mend="One worker for each address, several of them behind nginx with `ip_hash` or `hash`; or only WebSockets: "
    "`transports=[\"websocket\"]` in the server and in the clients.",
    hangup="mended: a request goes to the worker that has its session (docs/workers.md). Not several containers.",
    source="Flask-SocketIO#35, #402, #1241; flask-socketio.readthedocs.io/en/latest/deployment.html",
)  # fmt: skip
def affinity(facts: Facts) -> Iterator[Any]:
    if not facts.application.servers or sessions_stay(facts):
        return
    for service in facts.services:
        number = service.processes if service.server in ("gunicorn", *ASGI_SERVERS) else None
        if number and number > 1 and not knows_siblings(facts, service):
            value = service.setting("workers")
            more = f" in {service.replicas} containers" if service.replicas > 1 else ""
            yield value.place, f"{number} workers{more}{said(value)}: no request finds its session", number


@rule(
    "HUP105", "several-processes-without-message-queue", ERROR,
    wrong="Several processes, and no message queue between them.",
    seen="An emit reaches only the clients of the process that makes it: messages are missing without an error.",
    mend="`SocketIO(app, message_queue=\"redis://…\")`, or `client_manager=socketio.RedisManager(…)`.",
    hangup="mended for the workers of one gunicorn (docs/workers.md). Several gunicorns need a queue.",
    source="python-socketio.readthedocs.io, \"Using a Message Queue\"",
)  # fmt: skip
def message_queue(facts: Facts) -> Iterator[Any]:
    upstreams = [location.upstream for location in facts.locations if location.upstream]
    behind = max((len(upstream.servers) for upstream in upstreams), default=0)
    serving_now = [each for each in facts.services if each.server in ("gunicorn", *ASGI_SERVERS)]
    several = next(
        (each for each in serving_now if (each.processes or 0) > 1 and not knows_siblings(facts, each)), None
    )
    if several is None and (behind < 2 or not serving_now):
        return
    for server in facts.application.servers:
        queue, manager = server.option("message_queue").value, server.option("client_manager").value
        has_manager = manager not in (None, "") and "NativeManager" not in str(manager).split("(")[0].split(
            "."
        )
        if queue in (None, "") and not has_manager:
            number = several.processes if several else behind
            yield (
                server.place,
                f"{server.kind} has neither message_queue nor client_manager; {number} processes",
                number,
            )


@rule(
    "HUP106", "too-few-worker-connections", WARNING,
    wrong="`worker_connections` is less than the threads, or than the clients that are expected.",
    seen="\"No keepalived connections can be handled\" at the start; clients beyond the number wait in the backlog.",
    mend="More than clients and threads together.",
    hangup="no difference for gevent and eventlet; on gthread a WebSocket does not count, threads still do.",
    source=SETTINGS + "#worker-connections; gunicorn, workers/gthread.py check_config",
    is_mended=True,
)  # fmt: skip
def worker_connections(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value = service.setting("worker_connections")
        number, needed = service.number("worker_connections"), None
        if service.worker == "gthread":
            needed = service.number("threads")
        elif service.worker in HUBS and facts.gives_websockets(service):
            needed = -(-facts.clients // (service.processes or 1))
        if number is not None and needed is not None and number < needed:
            change = edits.assign(value.place, "worker_connections", max(1000, 2 * needed))
            yield (
                value.place,
                f"worker_connections = {number}{said(value)}, and {needed} are needed",
                number,
                change,
            )


@rule(
    "HUP107", "no-timeout", WARNING,
    wrong="`timeout = 0`: gunicorn never replaces a worker that hangs.",
    seen="A worker that is stuck in C code or in a deadlock serves nobody until somebody restarts it.",
    mend="Leave it at 30: of gthread, gevent and eventlet it is not the time of a request, but of a heartbeat.",
    hangup="no difference; WebSockets do not need it.",
    source=SETTINGS + "#timeout",
    is_mended=True,
)  # fmt: skip
def no_timeout(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value = service.setting("timeout")
        if service.number("timeout") == 0:
            yield value.place, f"timeout = 0{said(value)}", 0, edits.assign(value.place, "timeout", 30)


@rule(
    "HUP108", "keepalive-shorter-than-the-proxys", WARNING,
    wrong="nginx keeps idle connections to gunicorn for longer than gunicorn does.",
    seen="Now and then 502: \"recv() failed (104: Connection reset by peer) while reading response header\", or "
    "\"upstream prematurely closed connection\".",
    mend="`keepalive` some seconds more than nginx's `keepalive_timeout` in the upstream (60 s if it is not given).",
    hangup="no difference: the race is between two timers.",
    source="RFC 9112 §9.5; gunicorn#2288; PostHog#4730, conbench#1156",
    is_mended=True,
)  # fmt: skip
def keepalive(facts: Facts) -> Iterator[Any]:
    for upstream in {each.upstream.name: each.upstream for each in facts.locations if each.upstream}.values():
        if upstream.directives.get("keepalive") is None:
            continue
        given = upstream.directives.get("keepalive_timeout")
        theirs = span(given.arguments[0]) if given and given.arguments else 60.0
        for service in facts.gunicorns:
            ours = service.number("keepalive")
            if service.worker in ("", "sync") or not ours or theirs is None or ours > theirs:
                continue
            value = service.setting("keepalive")
            change = edits.assign(value.place, "keepalive", int(theirs) + 5)
            text = f"keepalive = {ours} s{said(value)}; the upstream {upstream.name} keeps connections {theirs:g} s"
            yield value.place, text, ours, change


@rule(
    "HUP113", "hook-replaces-hangups", ERROR,
    wrong="A hook that is defined below `from hangup.gunicorn import *` replaces hangup's.",
    seen="Nothing: the service runs stock. `hangup.status()` says so.",
    mend="`import hangup.gunicorn; hangup.gunicorn.install(globals())` at the end: it chains the hooks.",
    hangup="this is about turning it on.",
    source="docs/model.md; gunicorn, app/base.py: the last definition wins",
    is_mended=True,
)  # fmt: skip
def lost_hook(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        if service.lost_hook:
            lines = ("", "import hangup.gunicorn", "", "hangup.gunicorn.install(globals())")
            change = edits.append(service.lost_hook.place.file, *lines)
            yield (
                service.lost_hook.place,
                f"{service.lost_hook.value} is not hangup's",
                service.lost_hook.value,
                change,
            )


@rule(
    "HUP114", "threads-without-effect", INFO,
    wrong="`threads` is set, and the worker has none: gevent and eventlet have `worker_connections`.",
    seen="Nothing: the setting is ignored.",
    mend="Leave it out, or set `worker_connections`.",
    hangup="no difference.",
    source=SETTINGS + "#threads",
)  # fmt: skip
def threads_ignored(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        number = service.number("threads")
        if service.worker in (*HUBS, *ASGI_WORKERS, "tornado") and number and number > 1:
            yield service.where("threads"), f"threads = {number} with {service.worker}", number


@rule(
    "HUP115", "worker-that-hangup-leaves-alone", INFO,
    wrong="hangup is in the configuration, and leaves this worker as it is.",
    seen="Nothing: the service runs stock. One line in the log at the start says so.",
    mend="sync, gthread or gevent, without TLS in gunicorn itself.",
    hangup="this is about turning it on.",
    source="hangup.status(); hangup/_gunicorn/support.py",
)  # fmt: skip
def left_alone(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        if not service.hangup or service.is_switched_off:
            continue
        if service.left_alone:
            yield service.where("worker_class"), f"{service.worker}: {service.left_alone}", service.worker
        elif service.setting("certfile").value:
            yield service.where("certfile"), "certfile: TLS listeners are served stock", None


@rule(
    "HUP118", "hangup-switched-off", INFO,
    wrong="`HANGUP` in the environment switches hangup off, or to counting only.",
    seen="Nothing is changed in the service; `hangup.status()` says so.",
    mend="Take the variable out when you are done comparing.",
    hangup="this is about turning it on.",
    source="docs/model.md",
)  # fmt: skip
def switched_off(facts: Facts) -> Iterator[Any]:
    for service in facts.services:
        if service.is_switched_off and (service.hangup or facts.application.installs_hangup):
            yield service.place, f"HANGUP={service.environment['HANGUP']}", service.environment["HANGUP"]
