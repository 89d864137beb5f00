"""HUP4xx: nginx in front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts, Location
from ..reading.application import paths
from ..reading.nginx import serving
from ..registry import ERROR, INFO, WARNING, rule
from ..values import Place

PROXY = "nginx.org/en/docs/http/ngx_http_proxy_module.html"
WEBSOCKET = "nginx.org/en/docs/http/websocket.html"


def sockets(facts: Facts) -> Iterator[tuple[Location, str]]:
    """The locations that nginx would choose for WebSockets, with what serves them; each once."""
    seen = set()
    for path, by in paths(facts.application):
        for location in serving(facts.locations, path):
            if (location.place, by) not in seen:
                seen.add((location.place, by))
                yield location, by


def where(location: Location, name: str) -> Place:
    """Of a directive, or of what it would have to stand in."""
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
    source=WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def upgrade(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("upgrade")
        is_other = header and header.arguments[1].lower() not in ("$http_upgrade", "websocket")
        if location.lacks("upgrade") or is_other:
            change = _set_header(location, "Upgrade", "$http_upgrade")
            yield location.place, f"location {location.path}: Upgrade is not passed on", None, change


@rule(
    "HUP402", "no-connection-header", ERROR,
    wrong="The location of WebSockets does not say `Connection: upgrade`: nginx says `close` unless it is told.",
    seen="\"WebSocket connection to '…' failed\", 400 in the access log; Socket.IO stays with polling.",
    mend="`proxy_set_header Connection \"upgrade\";`, or the variable of a `map $http_upgrade`.",
    hangup="no difference: the handshake does not arrive.",
    source=WEBSOCKET,
    is_mended=True,
)  # fmt: skip
def connection(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("connection")
        value = header.arguments[1].lower() if header else "close"
        if (header or location.is_complete) and "upgrade" not in value and not value.startswith("$"):
            change = _set_header(location, "Connection", '"upgrade"')
            yield location.place, f"location {location.path}: Connection is {value!r}", value, change


@rule(
    "HUP403", "http-1.0-upstream", ERROR,
    wrong="nginx speaks HTTP/1.0 to the service: no upgrade. That is its default before 1.29.7.",
    seen="\"WebSocket connection to '…' failed\", 400 or 426 in the access log; Socket.IO stays with polling.",
    mend="`proxy_http_version 1.1;`",
    hangup="no difference: the handshake does not arrive.",
    source=PROXY + "#proxy_http_version; RFC 6455 §4.1",
    is_mended=True,
)  # fmt: skip
def http_version(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        given = location.one("proxy_http_version")
        if location.lacks("proxy_http_version") or (given and given.arguments[:1] != ("1.1",)):
            change = (
                edits.nginx_value(given.place, "proxy_http_version", "1.1")
                if given and not given.is_inherited
                else edits.nginx_insert(location.place, "proxy_http_version 1.1;")
            )
            said = "no proxy_http_version" if given is None else " ".join(given.arguments)
            text = f"location {location.path}: {said}"
            yield where(location, "proxy_http_version"), text, None, change


@rule(
    "HUP408", "several-upstreams-without-affinity", ERROR,
    wrong="Several servers in the upstream, any of which may get the next request of a Socket.IO session.",
    seen="400 \"Invalid session\", clients that connect and disconnect in turns.",
    mend="`ip_hash;`, or `hash $remote_addr consistent;`, in the upstream.",
    hangup="no difference: a session lives in one worker.",
    source="flask-socketio.readthedocs.io/en/latest/deployment.html; "
    "nginx.org/en/docs/http/ngx_http_upstream_module.html#ip_hash",
    is_mended=True,
)  # fmt: skip
def upstream_affinity(facts: Facts) -> Iterator[Any]:
    from .gunicorn import sessions_stay

    for location, by in sockets(facts):
        upstream = location.upstream
        if by != "socketio" or upstream is None or len(upstream.servers) < 2 or sessions_stay(facts):
            continue
        if not {"ip_hash", "hash", "sticky", "sticky_cookie_insert"} & set(upstream.directives):
            text = f"upstream {upstream.name} has {len(upstream.servers)} servers"
            has_another = {"least_conn", "least_time", "random"} & set(upstream.directives)
            change = () if has_another else edits.nginx_insert(upstream.place, "ip_hash;")
            yield upstream.place, text, len(upstream.servers), change


@rule(
    "HUP409", "origin-not-recognised", ERROR,
    wrong="Socket.IO compares the page's origin with the address it is asked for, and nginx does not pass that on.",
    seen="400; \"… is not an accepted origin.\" in the log.",
    mend="`proxy_set_header Host $http_host;` and, behind TLS, `proxy_set_header X-Forwarded-Proto $scheme;`; "
    "or name "
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
        if location.lacks("host", "x-forwarded-host"):
            change = _set_header(location, "Host", "$http_host")
            yield location.place, f"location {location.path}: Host is the upstream's", None, change
        elif location.is_tls and location.lacks("x-forwarded-proto"):
            change = _set_header(location, "X-Forwarded-Proto", "$scheme")
            yield location.place, f"location {location.path}: that it is https is not passed on", None, change


@rule(
    "HUP410", "client-address-lost", INFO,
    wrong="The client's address is not passed on.",
    seen="All clients are 127.0.0.1 in logs, rate limits and blocks.",
    mend="`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`",
    hangup="no difference.",
    source="RFC 7239; " + PROXY + "#proxy_set_header",
    is_mended=True,
)  # fmt: skip
def address(facts: Facts) -> Iterator[Any]:
    for location in serving(facts.locations, "/"):
        if location.lacks("x-forwarded-for", "x-real-ip", "forwarded"):
            change = _set_header(location, "X-Forwarded-For", "$proxy_add_x_forwarded_for")
            yield location.place, f"location {location.path}: no X-Forwarded-For", None, change


@rule(
    "HUP411", "kept-connections-upgraded", WARNING,
    wrong="Plain requests and WebSockets share a location that says `Connection: upgrade` to all, and the upstream "
    "keeps connections.",
    seen="nginx's kept connections are not used: a new connection, and a descriptor, for each request.",
    mend="`map $http_upgrade $connection_upgrade { default upgrade; '' ''; }` and `Connection $connection_upgrade`.",
    hangup="no difference.",
    source=WEBSOCKET + "; nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
)  # fmt: skip
def kept(facts: Facts) -> Iterator[Any]:
    for location, _ in sockets(facts):
        header = location.sends.get("connection")
        shared = location.modifier == "" and location.path == "/"
        if not shared or header is None or location.upstream is None:
            continue
        if "keepalive" in location.upstream.directives and header.arguments[1].lower() == "upgrade":
            yield (
                header.place,
                f"location /: Connection is upgrade for all; {location.upstream.name} keeps",
                "upgrade",
            )
