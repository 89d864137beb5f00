"""HUP4xx: nginx in front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .. import edits
from ..facts import Facts, Location
from ..reading.application import paths
from ..reading.nginx import serving, size, span
from ..registry import ERROR, INFO, WARNING, rule

_PROXY = "nginx.org/en/docs/http/ngx_http_proxy_module.html"
_WEBSOCKET = "nginx.org/en/docs/http/websocket.html"
#: Seconds, where nothing is given.
READ_TIMEOUT = 60.0


def sockets(facts: Facts) -> Iterator[tuple[Location, str]]:
    """The locations that nginx would choose for WebSockets, with what serves them; each once."""
    seen = set()
    for path, by in paths(facts.application):
        for location in serving(facts.locations, path):
            if (location.place, by) not in seen:
                seen.add((location.place, by))
                yield location, by


def read_timeout(location: Location) -> Optional[float]:
    """Seconds; None if it is a variable."""
    given = location.one("proxy_read_timeout")
    return span(given.arguments[0]) if given and given.arguments else READ_TIMEOUT


def _where(location: Location, name: str) -> Any:
    given = location.one(name)
    return given.place if given else location.place


def _set_header(location: Location, name: str, value: str) -> edits.Edits:
    """A header, with those that a header of its own would end the inheritance of."""
    given = location.sends.get(name.lower())
    if given and not given.is_inherited:
        return edits.nginx_value(given.place, "proxy_set_header", f"{name} {value}")
    inherited = [
        f"proxy_set_header {header.arguments[0]} {_quoted(header.arguments[1])};"
        for header in location.sends.values()
        if header.is_inherited and header.arguments[0].lower() != name.lower()
    ]
    return edits.nginx_insert(location.place, *inherited, f"proxy_set_header {name} {value};")


def _quoted(text: str) -> str:
    return text if text and not set(text) & set(" ;{}\"'") else '"' + text.replace('"', '\\"') + '"'


@rule(
    "HUP400", "nginx-configuration-unreadable", ERROR,
    wrong="A configuration of nginx cannot be read.",
    seen="`nginx -t` fails, and a reload keeps the old configuration.",
    mend="Mend what is named.",
    hangup="no difference.",
    source="nginx -t",
)  # fmt: skip
def unreadable(facts: Facts) -> Iterator[Any]:
    for notice in facts.notices:
        if notice.code == "HUP400" and notice.place:
            yield notice.place, notice.text


@rule(
    "HUP401", "no-upgrade-header", ERROR,
    wrong="The location of WebSockets does not pass `Upgrade` on.",
    seen="\"WebSocket connection to '…' failed\", 400 in the access log; Socket.IO stays with polling.",
    mend="`proxy_set_header Upgrade $http_upgrade;`",
    hangup="no difference: the handshake does not arrive.",
    source=_WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def upgrade(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("upgrade")
        if header is None or header.arguments[1].lower() not in ("$http_upgrade", "websocket"):
            change = _set_header(location, "Upgrade", "$http_upgrade")
            yield location.place, f"location {location.path}: Upgrade is not passed on", None, change


@rule(
    "HUP402", "no-connection-header", ERROR,
    wrong="The location of WebSockets does not say `Connection: upgrade`: nginx says `close` unless it is told.",
    seen="\"WebSocket connection to '…' failed\", 400 in the access log; Socket.IO stays with polling.",
    mend="`proxy_set_header Connection \"upgrade\";`, or the variable of a `map $http_upgrade`.",
    hangup="no difference: the handshake does not arrive.",
    source=_WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def connection(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("connection")
        value = header.arguments[1].lower() if header else "close"
        if "upgrade" not in value and not value.startswith("$"):
            change = _set_header(location, "Connection", '"upgrade"')
            yield location.place, f"location {location.path}: Connection is {value!r}", value, change


@rule(
    "HUP403", "http-1.0-upstream", ERROR,
    wrong="nginx speaks HTTP/1.0 to the service: no upgrade. That is its default before 1.29.7.",
    seen="\"WebSocket connection to '…' failed\", 400 or 426 in the access log; Socket.IO stays with polling.",
    mend="`proxy_http_version 1.1;`",
    hangup="no difference: the handshake does not arrive.",
    source=_PROXY + "#proxy_http_version; RFC 6455 §4.1",
    is_mended=True,
)  # fmt: skip
def http_version(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        given = location.one("proxy_http_version")
        if given is None or given.arguments[:1] != ("1.1",):
            change = (
                edits.nginx_value(given.place, "proxy_http_version", "1.1")
                if given and not given.is_inherited
                else edits.nginx_insert(location.place, "proxy_http_version 1.1;")
            )
            text = f"location {location.path}: {'no proxy_http_version' if given is None else ' '.join(given.arguments)}"
            yield _where(location, "proxy_http_version"), text, None, change


@rule(
    "HUP404", "buffered-stream", WARNING,
    wrong="The application streams, and nginx collects what it sends.",
    seen="Event streams and progress arrive in lumps, or only at the end.",
    mend="`proxy_buffering off;` in the location of the stream, or `X-Accel-Buffering: no` in its response.",
    hangup="no difference.",
    source=_PROXY + "#proxy_buffering",
    is_mended=True,
)  # fmt: skip
def buffering(facts: Facts) -> Iterator[Any]:
    if not facts.application.streams or any(
        location.one("proxy_buffering") and location.directives["proxy_buffering"][-1].arguments == ("off",)
        for location in facts.locations
    ):
        return
    for location in serving(facts.locations, "/"):
        change = edits.nginx_insert(location.place, "proxy_buffering off;")
        text = f"location {location.path} buffers; {facts.application.streams[0]} streams"
        yield _where(location, "proxy_buffering"), text, None, change


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
    wrong="`proxy_read_timeout` is not longer than `ping_interval`: nginx ends a quiet connection before its next ping.",
    seen="All quiet clients are disconnected (\"transport close\") and come back, every so many seconds; 504 for polls.",
    mend="More than `ping_interval + ping_timeout`; an hour is common.",
    hangup="no difference: the connection is ended by nginx.",
    source=_WEBSOCKET + "; " + _PROXY + "#proxy_read_timeout (60 s)",
    is_mended=True,
)  # fmt: skip
def cut_off(facts: Facts) -> Iterator[Any]:
    for location, waits, interval, timeout in _deadlines(facts):
        if waits <= interval:
            text = f"proxy_read_timeout is {waits:g} s, ping_interval {interval:g} s"
            change = _longer(location, max(3600, 2 * (interval + timeout)))
            yield _where(location, "proxy_read_timeout"), text, waits, change


@rule(
    "HUP406", "slow-clients-cut-off", WARNING,
    wrong="`proxy_read_timeout` is not longer than `ping_interval + ping_timeout`: the next ping is sent only when the "
    "last one is answered.",
    seen="Clients on slow networks are disconnected (\"transport close\") before their `ping_timeout`.",
    mend="More than `ping_interval + ping_timeout`; an hour is common.",
    hangup="no difference: the connection is ended by nginx.",
    source=_PROXY + "#proxy_read_timeout; python-engineio, socket.py schedule_ping",
    is_mended=True,
)  # fmt: skip
def slow_cut_off(facts: Facts) -> Iterator[Any]:
    for location, waits, interval, timeout in _deadlines(facts):
        if interval < waits <= interval + timeout:
            text = f"proxy_read_timeout is {waits:g} s, ping_interval + ping_timeout {interval + timeout:g} s"
            change = _longer(location, max(3600, 2 * (interval + timeout)))
            yield _where(location, "proxy_read_timeout"), text, waits, change


@rule(
    "HUP407", "quiet-websockets-cut-off", WARNING,
    wrong="WebSockets that nobody pings, behind nginx, which ends what is quiet for `proxy_read_timeout`.",
    seen="Quiet clients are disconnected after 60 s with code 1006.",
    mend="Pings (`SOCK_SERVER_OPTIONS = {\"ping_interval\": 25}`), or a longer `proxy_read_timeout`.",
    hangup="no difference: plain WebSockets are pinged if that is asked for.",
    source=_WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def quiet(facts: Facts) -> Iterator[Any]:
    # uvicorn and daphne ping by themselves, every 20 s; gunicorn's asgi worker does not.
    pinged = all(service.server in ("uvicorn", "daphne") or service.worker == "uvicorn" for service in facts.services)
    for location, by in sockets(facts):
        waits = read_timeout(location)
        unpinged = (by == "flask_sock" and not facts.application.pings) or (by == "channels" and not pinged)
        if unpinged and facts.services and waits is not None and waits <= READ_TIMEOUT:
            text = f"location {location.path}: quiet for {waits:g} s, and it is ended"
            yield _where(location, "proxy_read_timeout"), text, waits, _longer(location, 3600)


@rule(
    "HUP408", "several-upstreams-without-affinity", ERROR,
    wrong="Several servers in the upstream, any of which may get the next request of a Socket.IO session.",
    seen="400 \"Invalid session\", clients that connect and disconnect in turns.",
    mend="`ip_hash;`, or `hash $remote_addr consistent;`, in the upstream.",
    hangup="no difference: a session lives in one worker.",
    source="flask-socketio.readthedocs.io/en/latest/deployment.html; nginx.org/en/docs/http/ngx_http_upstream_module.html#ip_hash",
    is_mended=True,
)  # fmt: skip
def upstream_affinity(facts: Facts) -> Iterator[Any]:
    from .gunicorn import _sessions_stay

    for location, by in sockets(facts):
        upstream = location.upstream
        if by != "socketio" or upstream is None or len(upstream.servers) < 2 or _sessions_stay(facts):
            continue
        if not {"ip_hash", "hash", "sticky", "sticky_cookie_insert"} & set(upstream.directives):
            text = f"upstream {upstream.name} has {len(upstream.servers)} servers"
            yield upstream.place, text, len(upstream.servers), edits.nginx_insert(upstream.place, "ip_hash;")


@rule(
    "HUP409", "origin-not-recognised", ERROR,
    wrong="Socket.IO compares the page's origin with the address it is asked for, and nginx does not pass that on.",
    seen="400; \"… is not an accepted origin.\" in the log.",
    mend="`proxy_set_header Host $http_host;` and, behind TLS, `proxy_set_header X-Forwarded-Proto $scheme;`; or name "
    "the origins in `cors_allowed_origins`.",
    hangup="no difference.",
    source="RFC 6454; python-engineio, base_server.py _cors_allowed_origins",
    is_mended=True,
)  # fmt: skip
def origin(facts: Facts) -> Iterator[Any]:
    if not any(server.option("cors_allowed_origins").value is None for server in facts.application.servers):
        return
    for location, by in sockets(facts):
        if by != "socketio":
            continue
        sends = location.sends
        if "host" not in sends and "x-forwarded-host" not in sends:
            change = _set_header(location, "Host", "$http_host")
            yield location.place, f"location {location.path}: Host is the upstream's", None, change
        elif location.is_tls and "x-forwarded-proto" not in sends:
            change = _set_header(location, "X-Forwarded-Proto", "$scheme")
            yield location.place, f"location {location.path}: that it is https is not passed on", None, change


@rule(
    "HUP410", "client-address-lost", INFO,
    wrong="The client's address is not passed on.",
    seen="All clients are 127.0.0.1 in logs, rate limits and blocks.",
    mend="`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`",
    hangup="no difference.",
    source="RFC 7239; " + _PROXY + "#proxy_set_header",
    is_mended=True,
)  # fmt: skip
def address(facts: Facts) -> Iterator[Any]:
    for location in serving(facts.locations, "/"):
        if not {"x-forwarded-for", "x-real-ip", "forwarded"} & set(location.sends):
            change = _set_header(location, "X-Forwarded-For", "$proxy_add_x_forwarded_for")
            yield location.place, f"location {location.path}: no X-Forwarded-For", None, change


@rule(
    "HUP411", "kept-connections-upgraded", WARNING,
    wrong="Plain requests and WebSockets share a location that says `Connection: upgrade` to all, and the upstream "
    "keeps connections.",
    seen="nginx's kept connections are not used: a new connection, and a descriptor, for each request.",
    mend="`map $http_upgrade $connection_upgrade { default upgrade; '' ''; }` and `Connection $connection_upgrade`.",
    hangup="no difference.",
    source=_WEBSOCKET + "; nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
)  # fmt: skip
def kept(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("connection")
        shared = location.modifier == "" and location.path == "/"
        if not shared or header is None or location.upstream is None:
            continue
        if "keepalive" in location.upstream.directives and header.arguments[1].lower() == "upgrade":
            yield header.place, f"location /: Connection is upgrade for all; {location.upstream.name} keeps", "upgrade"


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
                yield _where(location, "client_max_body_size"), text, allowed, change


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
