"""HUP1xx, how a server starts and ends: reloads, restarts, supervisors, deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts
from ..reading.nginx import serving, span
from ..registry import ERROR, WARNING, rule
from .gunicorn import HUBS, SETTINGS, said


@rule(
    "HUP102", "reload-in-production", WARNING,
    wrong="`reload` is on: workers watch the sources and restart when one changes.",
    seen="All clients are dropped by a deployment, a log file beside the sources or an editor; CPU is used for "
    "watching.",
    mend="Leave it to development.",
    hangup="no difference.",
    source=SETTINGS + "#reload: made for development",
    is_mended=True,
)  # fmt: skip
def reload_on(facts: Facts) -> Iterator[Any]:
    for service in facts.services:
        value = service.setting("reload") if service.server in ("gunicorn", "uvicorn") else None
        if value and value.value is True:
            change = edits.assign(value.place, "reload", False) or edits.drop_option(value.place, "--reload")
            yield value.place, f"reload is on{said(value)}", True, change


@rule(
    "HUP109", "container-killed-before-graceful-timeout", WARNING,
    wrong="The container is killed before gunicorn gives up waiting: stock workers wait for open WebSockets.",
    seen="Each `docker compose up -d` takes 10 s and ends with exit status 137; no `disconnect` handler runs.",
    mend="`stop_grace_period` some seconds more than `graceful_timeout`, or a shorter `graceful_timeout`.",
    hangup="silent: WebSockets are told 1001 and gone within 4 s.",
    source="Compose specification, stop_grace_period (10 s); " + SETTINGS + "#graceful-timeout",
)  # fmt: skip
def stop_grace(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        grace, graceful = service.stop_grace, service.number("graceful_timeout")
        if not grace or grace.value is None or graceful is None or not facts.gives_websockets(service):
            continue
        if facts.is_native(service) is False and grace.value <= graceful:
            text = f"killed after {grace.value:g} s; graceful_timeout is {graceful} s"
            yield grace.place, text, grace.value


@rule(
    "HUP110", "preload-under-a-hub", WARNING,
    wrong="`preload_app` with a gevent or eventlet worker: the application is imported before the worker patches.",
    seen="Locks, sockets and threads made at import are not green: workers hang, \"This event loop is already "
    "running\", or \"maximum recursion depth exceeded\" in ssl.",
    mend="`preload_app = False`, or patch in the first lines of the configuration file.",
    hangup="no difference.",
    source="gunicorn#927, #1566, #2478",
    is_mended=True,
)  # fmt: skip
def preload(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value = service.setting("preload_app")
        if value.value is True and service.worker in HUBS:
            change = edits.assign(value.place, "preload_app", False) or edits.drop_option(
                value.place, "--preload"
            )
            yield value.place, f"preload_app with {service.worker}", True, change


@rule(
    "HUP111", "max-requests-without-jitter", WARNING,
    wrong="`max_requests` without `max_requests_jitter`: workers that started together restart together.",
    seen="Now and then all workers are away at once, and all clients reconnect at once.",
    mend="A jitter of a tenth or more.",
    hangup="no difference to when; clients of a worker that leaves are told 1001.",
    source=SETTINGS + "#max-requests-jitter",
    is_mended=True,
)  # fmt: skip
def jitter(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value, number = service.setting("max_requests"), service.number("max_requests")
        if number and service.number("max_requests_jitter") == 0 and (service.number("workers") or 1) > 1:
            change = edits.assign_below(value.place, "max_requests_jitter", max(1, number // 10))
            yield value.place, f"max_requests = {number}{said(value)}, no jitter", number, change


@rule(
    "HUP112", "max-requests-with-websockets", ERROR,
    wrong="`max_requests` with open WebSockets on a stock gthread worker: it stops accepting and waits for them.",
    seen="Every request fails for as long as `timeout`, then \"WORKER TIMEOUT\"; each poll of Socket.IO counts "
    "as a request.",
    mend="`max_requests = 0`, or `gunicorn -c python:hangup.gunicorn`.",
    hangup="silent: the clients go on in another worker, or are told 1012, and the worker leaves.",
    source="gunicorn#3038, #2567",
    is_mended=True,
)  # fmt: skip
def max_requests(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value, number = service.setting("max_requests"), service.number("max_requests")
        if (
            number
            and service.worker == "gthread"
            and facts.gives_websockets(service)
            and facts.is_native(service) is False
        ):
            change = edits.assign(value.place, "max_requests", 0)
            yield (
                value.place,
                f"max_requests = {number}{said(value)} with WebSockets on gthread",
                number,
                change,
            )


@rule(
    "HUP116", "daemon-under-a-supervisor", ERROR,
    wrong="`daemon` under systemd or as a container's command: what is started ends at once, and that is what "
    "is watched.",
    seen="The container exits with status 0; systemd says \"Main process exited\" and kills the rest.",
    mend="Leave it out: the supervisor is what daemons are for.",
    hangup="no difference.",
    source=SETTINGS + "#daemon",
    is_mended=True,
)  # fmt: skip
def daemon(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        value = service.setting("daemon")
        forks = service.unit and service.unit.value("Service", "Type") == "forking"
        if value.value is True and service.kind in ("systemd", "container", "procfile") and not forks:
            change = edits.assign(value.place, "daemon", False) or edits.drop_option(value.place, "--daemon")
            yield value.place, f"daemon, started by {service.kind}", True, change


@rule(
    "HUP117", "development-server", WARNING,
    wrong="The development server of Flask or Django is what is deployed.",
    seen="\"WARNING: This is a development server. Do not use it in a production deployment.\"; a thread for "
    "each client.",
    mend="gunicorn, or for ASGI uvicorn or daphne.",
    hangup="no difference.",
    source="flask.palletsprojects.com/deploying; docs.djangoproject.com/en/stable/ref/django-admin/#runserver",
)  # fmt: skip
def development_server(facts: Facts) -> Iterator[Any]:
    for service in facts.services:
        if service.kind not in ("systemd", "container", "procfile"):
            continue
        if service.server in ("flask run", "runserver"):
            yield service.place, f"{service.server} is started by {service.kind}", service.server
        elif service.server == "python" and facts.application.allows_werkzeug:
            yield facts.application.allows_werkzeug, "allow_unsafe_werkzeug=True, and it is deployed", True


@rule(
    "HUP119", "sync-timeout-longer-than-the-proxys", WARNING,
    wrong="nginx gives a request up before the sync worker that serves it is given up.",
    seen="504 \"upstream timed out (110: Connection timed out)\", while the worker computes on for nobody.",
    mend="`proxy_read_timeout` some seconds more than `timeout`, or a shorter `timeout`.",
    hangup="no difference to the 504; a view can ask whether its client is still there.",
    source="nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout; " + SETTINGS + "#timeout",
)  # fmt: skip
def proxy_gives_up(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        ours = service.number("timeout")
        if service.worker != "sync" or not ours:
            continue
        for location in serving(facts.locations, "/"):
            given = location.one("proxy_read_timeout")
            theirs = span(given.arguments[0]) if given and given.arguments else 60.0
            if given is None and not location.is_complete:
                continue
            if theirs is not None and theirs < ours:
                place = given.place if given else location.place
                yield (
                    place,
                    f"nginx waits {theirs:g} s; timeout is {ours} s ({service.where('timeout')})",
                    theirs,
                )
