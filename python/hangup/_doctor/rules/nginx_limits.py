"""HUP4xx, nginx's deadlines, buffers and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .. import edits
from ..facts import Facts, Location
from ..reading.nginx import serving, size, span
from ..registry import ERROR, WARNING, rule
from .nginx import PROXY, WEBSOCKET, sockets, where

#: Seconds, where nothing is given.
READ_TIMEOUT = 60.0


def read_timeout(location: Location) -> Optional[float]:
    """Seconds; None if it is a variable, or given where we cannot read."""
    given = location.one("proxy_read_timeout")
    if given and given.arguments:
        return span(given.arguments[0])
    return READ_TIMEOUT if location.is_complete else None


@rule(
    "HUP404", "buffered-stream", WARNING,
    wrong="The application streams, and nginx collects what it sends.",
    seen="Event streams and progress arrive in lumps, or only at the end.",
    mend="`proxy_buffering off;` in the location of the stream, or `X-Accel-Buffering: no` in its response.",
    hangup="no difference.",
    source=PROXY + "#proxy_buffering",
    is_mended=True,
)  # fmt: skip
def buffering(facts: Facts) -> Iterator[Any]:
    if not facts.application.streams or any(
        location.one("proxy_buffering") and location.directives["proxy_buffering"][-1].arguments == ("off",)
        for location in facts.locations
    ):
        return
    for location in serving(facts.locations, "/"):
        if location.one("proxy_buffering") is None and not location.is_complete:
            continue
        change = edits.nginx_insert(location.place, "proxy_buffering off;")
        text = f"location {location.path} buffers; {facts.application.streams[0]} streams"
        yield where(location, "proxy_buffering"), text, None, change


def _deadlines(facts: Facts) -> Iterator[tuple[Location, float, float, float]]:
    for location, by in sockets(facts):
        waits = read_timeout(location)
        for server in facts.application.servers if by == "socketio" and waits is not None else ():
            interval, timeout = server.number("ping_interval", 25), server.number("ping_timeout", 20)
            if interval is not None and timeout is not None and interval < 1000 and timeout < 1000:
                yield location, waits or 0.0, interval, timeout


def _longer(location: Location, seconds: float) -> edits.Edits:
    given = location.one("proxy_read_timeout")
    if given and not given.is_inherited:
        return edits.nginx_value(given.place, "proxy_read_timeout", f"{seconds:.0f}s")
    return edits.nginx_insert(location.place, f"proxy_read_timeout {seconds:.0f}s;")


@rule(
    "HUP405", "idle-clients-cut-off", ERROR,
    wrong="`proxy_read_timeout` is not longer than `ping_interval`: nginx ends a quiet connection before its "
    "next ping.",
    seen="All quiet clients are disconnected (\"transport close\") and come back, every so many seconds; 504 "
    "for polls.",
    mend="More than `ping_interval + ping_timeout`; an hour is common.",
    hangup="no difference: the connection is ended by nginx.",
    source=WEBSOCKET + "; " + PROXY + "#proxy_read_timeout (60 s)",
    is_mended=True,
)  # fmt: skip
def cut_off(facts: Facts) -> Iterator[Any]:
    for location, waits, interval, timeout in _deadlines(facts):
        if waits <= interval:
            text = f"proxy_read_timeout is {waits:g} s, ping_interval {interval:g} s"
            change = _longer(location, max(3600, 2 * (interval + timeout)))
            yield where(location, "proxy_read_timeout"), text, waits, change


@rule(
    "HUP406", "slow-clients-cut-off", WARNING,
    wrong="`proxy_read_timeout` is not longer than `ping_interval + ping_timeout`: the next ping is sent only "
    "when the "
    "last one is answered.",
    seen="Clients on slow networks are disconnected (\"transport close\") before their `ping_timeout`.",
    mend="More than `ping_interval + ping_timeout`; an hour is common.",
    hangup="no difference: the connection is ended by nginx.",
    source=PROXY + "#proxy_read_timeout; python-engineio, socket.py schedule_ping",
    is_mended=True,
)  # fmt: skip
def slow_cut_off(facts: Facts) -> Iterator[Any]:
    for location, waits, interval, timeout in _deadlines(facts):
        if interval < waits <= interval + timeout:
            text = f"proxy_read_timeout is {waits:g} s, ping_interval + ping_timeout {interval + timeout:g} s"
            change = _longer(location, max(3600, 2 * (interval + timeout)))
            yield where(location, "proxy_read_timeout"), text, waits, change


@rule(
    "HUP407", "quiet-websockets-cut-off", WARNING,
    wrong="WebSockets that nobody pings, behind nginx, which ends what is quiet for `proxy_read_timeout`.",
    seen="Quiet clients are disconnected after 60 s with code 1006.",
    mend="Pings (`SOCK_SERVER_OPTIONS = {\"ping_interval\": 25}`), or a longer `proxy_read_timeout`.",
    hangup="no difference: plain WebSockets are pinged if that is asked for.",
    source=WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def quiet(facts: Facts) -> Iterator[Any]:
    # uvicorn and daphne ping by themselves, every 20 s; gunicorn's asgi worker does not.
    pinged = all(
        service.server in ("uvicorn", "daphne") or service.worker == "uvicorn" for service in facts.services
    )
    for location, by in sockets(facts):
        waits = read_timeout(location)
        unpinged = (by == "flask_sock" and not facts.application.pings) or (by == "channels" and not pinged)
        if unpinged and facts.services and waits is not None and waits <= READ_TIMEOUT:
            text = f"location {location.path}: quiet for {waits:g} s, and it is ended"
            yield where(location, "proxy_read_timeout"), text, waits, _longer(location, 3600)


@rule(
    "HUP412", "messages-larger-than-nginx-allows", WARNING,
    wrong="`client_max_body_size` is less than `max_http_buffer_size`: a poll may not bring what a WebSocket may.",
    seen="413 \"Request Entity Too Large\", but only for clients that poll.",
    mend="`client_max_body_size` at least as large.",
    hangup="no difference.",
    source="nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size (1m)",
    is_mended=True,
)  # fmt: skip
def body_size(facts: Facts) -> Iterator[Any]:
    for location, by in sockets(facts):
        given = location.one("client_max_body_size")
        allowed = size(given.arguments[0]) if given and given.arguments else float(1 << 20)
        if given is None and not location.is_complete:
            continue
        for server in facts.application.servers if by == "socketio" else ():
            wanted = server.number("max_http_buffer_size", 1_000_000)
            if allowed is not None and wanted is not None and allowed < wanted:
                value = f"{-(-int(wanted) // (1 << 20))}m"
                change = (
                    edits.nginx_value(given.place, "client_max_body_size", value)
                    if given and not given.is_inherited
                    else edits.nginx_insert(location.place, f"client_max_body_size {value};")
                )
                text = f"nginx allows {allowed:,.0f} bytes, max_http_buffer_size is {wanted:,.0f}"
                yield where(location, "client_max_body_size"), text, allowed, change


@rule(
    "HUP413", "too-few-connections-of-nginx", WARNING,
    wrong="Each WebSocket takes two of nginx's `worker_connections`, and there are fewer than that.",
    seen="\"512 worker_connections are not enough\" in nginx's log; clients are reset.",
    mend="`events { worker_connections 4096; }`, and `worker_rlimit_nofile` of twice as many.",
    hangup="no difference.",
    source="nginx.org/en/docs/ngx_core_module.html#worker_connections",
    is_mended=True,
)  # fmt: skip
def nginx_connections(facts: Facts) -> Iterator[Any]:
    value = facts.nginx_connections
    if value and facts.has_websockets and value.value < 2 * facts.clients:
        change = edits.nginx_value(value.place, "worker_connections", str(max(4096, 4 * facts.clients)))
        text = f"worker_connections is {value.value}; {facts.clients} clients (--clients) need {2 * facts.clients}"
        yield value.place, text, value.value, change
