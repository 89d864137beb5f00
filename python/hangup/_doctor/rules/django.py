"""HUP6xx: Django and Channels. Those with an id of Django's system checks are the same there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts
from ..registry import ERROR, WARNING, rule
from ..values import UNKNOWN

MIDDLEWARE = "hangup.django.DisconnectMiddleware"
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"


def _middleware(facts: Facts) -> list[str]:
    """The names, as far as they are known."""
    names = facts.django.get("MIDDLEWARE") if facts.django else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, (list, tuple)) else []


def _is_installed(facts: Facts, name: str) -> bool:
    apps = facts.django.get("INSTALLED_APPS") if facts.django else None
    return isinstance(apps, (list, tuple)) and any(str(app).startswith(name) for app in apps)


@rule(
    "HUP600", "settings-unreadable", ERROR,
    wrong="Django's settings cannot be read as Python.",
    seen="`manage.py` ends with a SyntaxError.",
    mend="Mend what is named.",
    hangup="no difference.",
    source="Python",
)  # fmt: skip
def unreadable(facts: Facts) -> Iterator[Any]:
    for notice in facts.notices:
        if notice.code == "HUP600" and notice.place:
            yield notice.place, notice.text


@rule(
    "HUP601", "middleware-not-last", ERROR,
    wrong="Below hangup's middleware another one is asked first about exceptions, or hangup's is there twice.",
    seen="A client that left is a 500 with a traceback, or is counted twice.",
    mend="`hangup.django.DisconnectMiddleware` at the end of `MIDDLEWARE`, once.",
    hangup="this is about turning it on.",
    source="docs/django.md; docs.djangoproject.com/en/stable/topics/http/middleware/#process-exception",
    django="E001",
)  # fmt: skip
def middleware_order(facts: Facts) -> Iterator[Any]:
    names = _middleware(facts)
    if not facts.django or MIDDLEWARE not in names:
        return
    known = facts.django.raises | facts.application.exception_middleware
    below = [name for name in names[names.index(MIDDLEWARE) + 1 :] if name in known]
    if below:
        what = f"below it, {below[0]} is asked first about exceptions"
    elif names.count(MIDDLEWARE) > 1:
        what = "it is there more than once"
    else:
        return
    yield facts.django.where("MIDDLEWARE"), f"{MIDDLEWARE} has to be the last: {what}", None


@rule(
    "HUP602", "middleware-missing", WARNING,
    wrong="`hangup.django` is installed, its middleware is not in `MIDDLEWARE`.",
    seen="An aborted upload is a 500 with a traceback, and views are not told that their client left.",
    mend="Add `hangup.django.DisconnectMiddleware` as the last one.",
    hangup="this is about turning it on.",
    source="docs/django.md",
    django="W001",
    is_mended=True,
)  # fmt: skip
def middleware_missing(facts: Facts) -> Iterator[Any]:
    if not facts.django or not _is_installed(facts, "hangup.django"):
        return
    given = facts.django.get("MIDDLEWARE")
    if given is UNKNOWN or MIDDLEWARE in _middleware(facts):
        return
    place = facts.django.where("MIDDLEWARE")
    yield (
        place,
        f"{MIDDLEWARE} is not in MIDDLEWARE",
        None,
        edits.list_insert(place, "MIDDLEWARE", MIDDLEWARE),
    )


@rule(
    "HUP603", "layer-in-memory", WARNING,
    wrong="`InMemoryChannelLayer`, and several processes.",
    seen="A `group_send` reaches the clients of one process: messages are missing without an error.",
    mend="`channels_redis.core.RedisChannelLayer`.",
    hangup="no difference.",
    source="channels.readthedocs.io/en/stable/topics/channel_layers.html",
    django="W002",
)  # fmt: skip
def memory_layer(facts: Facts) -> Iterator[Any]:
    layers = facts.django.get("CHANNEL_LAYERS") if facts.django else None
    if not facts.django or not isinstance(layers, dict):
        return
    serving = [
        service for service in facts.services if service.server not in ("flask run", "runserver", "python")
    ]
    number = max((service.processes or 0 for service in serving), default=0)
    deployed = [service for service in serving if service.kind in ("systemd", "container", "procfile")]
    if len({service.place for service in deployed}) > 1 and len({service.kind for service in deployed}) == 1:
        number = max(number, sum(service.processes or 1 for service in deployed))
    for name, layer in layers.items():
        if isinstance(layer, dict) and layer.get("BACKEND") == MEMORY_LAYER and number > 1:
            text = (
                f"CHANNEL_LAYERS[{name!r}] is in memory, and there are {number} processes: a group_send reaches the "
                "clients of one of them"
            )
            yield facts.django.where("CHANNEL_LAYERS"), text, number
            return


@rule(
    "HUP604", "asgi-application-under-a-wsgi-worker", ERROR,
    wrong="gunicorn is given an ASGI application with a worker for WSGI.",
    seen="500 for each request: `TypeError: __call__() missing 1 required positional argument: 'send'`, or "
    "`'coroutine' object is not iterable`.",
    mend="`-k uvicorn.workers.UvicornWorker`, `-k asgi` (gunicorn ≥ 25), or daphne or uvicorn themselves.",
    hangup="no difference.",
    source="docs.djangoproject.com/en/stable/howto/deployment/asgi/",
)  # fmt: skip
def asgi_under_wsgi(facts: Facts) -> Iterator[Any]:
    for service in facts.gunicorns:
        module = service.application.partition(":")[0]
        is_asgi = module.rpartition(".")[2] == "asgi" or module in facts.application.asgi_names
        if is_asgi and service.worker in ("sync", "gthread", "gevent", "eventlet"):
            yield service.place, f"{service.application} with the worker {service.worker}", service.worker


@rule(
    "HUP605", "channels-without-an-asgi-server", ERROR,
    wrong="Channels serves WebSockets, and only a WSGI server is started.",
    seen="404 for each WebSocket: \"Not Found: /ws/…\".",
    mend="daphne, uvicorn, or gunicorn with an ASGI worker, for the ASGI application.",
    hangup="no difference.",
    source="channels.readthedocs.io/en/stable/deploying.html",
)  # fmt: skip
def no_asgi_server(facts: Facts) -> Iterator[Any]:
    routed = next((route for route in facts.application.routes if route.by == "channels"), None)
    serving = [service for service in facts.services if service.server != "python"]
    if (
        routed is None
        or not serving
        or any(not service.is_complete and not service.worker for service in serving)
    ):
        return
    if any(service.is_asgi or service.server in ("runserver",) or not service.worker for service in serving):
        return
    if any(
        service.server == "gunicorn" and service.application.partition(":")[0].endswith("asgi")
        for service in serving
    ):
        return  # HUP604 says so
    if any(service.kind == "configuration" for service in serving):
        return  # how it is started is not known, nor what else is
    yield serving[0].place, f"{routed.path} is served by nobody: {serving[0].server} serves WSGI", routed.path


@rule(
    "HUP606", "transaction-around-a-stream", WARNING,
    wrong="`ATOMIC_REQUESTS`, and views that stream or are asynchronous: the transaction is around the view "
    "only, and "
    "an asynchronous view may not have one.",
    seen="\"You cannot use ATOMIC_REQUESTS with async views.\"; a long poll holds a connection and its locks "
    "all the while.",
    mend="`@transaction.non_atomic_requests` on those views, or `ATOMIC_REQUESTS = False` and `atomic()` where "
    "it is needed.",
    hangup="no difference.",
    source="docs.djangoproject.com/en/stable/topics/db/transactions/#tying-transactions-to-http-requests",
)  # fmt: skip
def atomic_requests(facts: Facts) -> Iterator[Any]:
    databases = facts.django.get("DATABASES") if facts.django else None
    if not facts.django or not isinstance(databases, dict):
        return
    views = [*facts.application.async_views, *facts.application.streams]
    if views and any(
        isinstance(each, dict) and each.get("ATOMIC_REQUESTS") is True for each in databases.values()
    ):
        yield (
            facts.django.where("DATABASES"),
            f"ATOMIC_REQUESTS, and {views[0]} streams or is asynchronous",
            None,
        )


@rule(
    "HUP607", "setting-of-hangup-wrong", ERROR,
    wrong="A key or a value of the setting `HANGUP` is wrong; its default is used.",
    seen="Nothing: what was meant is not what is done.",
    mend="docs/django.md has the keys.",
    hangup="this is about turning it on.",
    source="docs/django.md",
    django="E002",
)  # fmt: skip
def setting(facts: Facts) -> Iterator[Any]:
    from ..._django_setting import judge

    given = facts.django.get("HANGUP") if facts.django else None
    if facts.django and given is not None and given is not UNKNOWN:
        for wrong in judge(given)[1]:
            yield facts.django.where("HANGUP"), wrong, None


@rule(
    "HUP608", "no-channel-layer", ERROR,
    wrong="Consumers use groups, and there is no `CHANNEL_LAYERS`.",
    seen="`AttributeError: 'NoneType' object has no attribute 'group_add'`; each WebSocket ends with 1011.",
    mend="`CHANNEL_LAYERS` with channels_redis.",
    hangup="no difference.",
    source="channels.readthedocs.io/en/stable/topics/channel_layers.html",
)  # fmt: skip
def no_layer(facts: Facts) -> Iterator[Any]:
    calls = facts.application.group_calls
    if facts.django and calls and facts.django.get("CHANNEL_LAYERS") is None and not facts.django.is_live:
        yield calls[0], f"{calls[0]} uses a layer, {facts.django.place.file} has no CHANNEL_LAYERS", None
