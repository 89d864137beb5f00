"""What a WSGI request's endpoint is called.

Promised
    A bounded name without control characters, whatever the client sends. The framework's route where it is
    known: of Flask from a signal, of Django by asking its resolver once for each kind of path.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from typing import Any

#: Where the route of a request is in its environ, if its framework said it.
ROUTE = "hangup.route"
#: Characters of a name.
LONGEST = 120
#: Methods that are not a client's invention (RFC 9110 section 9, RFC 5789).
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
#: Parts of a path that name one thing of many: with digits, long, or not plain.
_PARTICULAR = re.compile(r"[^/]*[0-9][^/]*|[^/]{25,}|[^/]*[^A-Za-z0-9._~/-][^/]*")


def name_of(environ: dict[str, Any]) -> str:
    """Method and route, or method and what the path looks like."""
    route = environ.get(ROUTE)
    method = environ.get("REQUEST_METHOD", "")
    return _guessed(method, environ.get("PATH_INFO", "")) if route is None else f"{_known(method)} {route}"


def follow_flask() -> None:
    """Has Flask say the rule of each request, if it is imported: afterwards it has forgotten it."""
    flask = sys.modules.get("flask")
    if flask is not None:
        with contextlib.suppress(RuntimeError):  # before 2.3 signals need a library that may not be there
            flask.request_started.connect(_remember_rule)


def _remember_rule(_app: Any, **_more: Any) -> None:
    request = sys.modules["flask"].request
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule


def _known(method: str) -> str:
    return method if method in METHODS else "?"


@functools.lru_cache(maxsize=4096)
def _guessed(method: str, path: str) -> str:
    return f"{_known(method)} {_django_route(path) or _guess(path)}"


def _guess(path: str) -> str:
    parts = path[:4096].split("/")[:8]
    return "/".join("*" if _PARTICULAR.fullmatch(part) else part for part in parts)[:LONGEST]


def _django_route(path: str) -> str:
    django = sys.modules.get("django.urls")
    conf = sys.modules.get("django.conf")
    if django is None or conf is None or not conf.settings.configured:
        return ""
    try:
        return "/" + str(django.resolve(path).route)[:LONGEST]
    except django.Resolver404:
        return ""
