"""What a URL means, and whether it may be loaded."""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import Any, NamedTuple, Optional
from urllib.parse import SplitResult, urlsplit

from . import Refused

HTTP, WEBSOCKET, SOCKETIO = "http", "websocket", "socketio"
_PORT = 80
#: Where a server is looked for if no URL is given: gunicorn's port, Flask's, and what people often choose.
_USUAL_PORTS = (8000, 5000, 8080, 3000)
_LOOK_SECONDS = 1.0


class Target(NamedTuple):
    """A server.

    Attributes:
        url: as it is shown.
        protocol: "http", "websocket" or "socketio".
        plan: for the native side.
        remarks: what was taken for granted.
    """

    url: str
    protocol: str
    plan: dict[str, Any]
    remarks: tuple[str, ...] = ()


class Options(NamedTuple):
    """How the server is spoken to.

    Attributes:
        protocol: None: as the URL says.
        transport: of Socket.IO: "websocket" or "polling".
        engine_io: 4, or 3 for Socket.IO 2.
        namespace: of Socket.IO.
        auth: JSON, sent when the namespace is joined.
        headers: each "Name: value".
        patience: seconds for which anything is waited for.
        allow_remote: hosts that need not be this machine.
    """

    protocol: Optional[str] = None
    transport: str = "websocket"
    engine_io: int = 4
    namespace: str = "/"
    auth: Optional[str] = None
    headers: tuple[str, ...] = ()
    patience: float = 10.0
    allow_remote: tuple[str, ...] = ()


def target(url: Optional[str], options: Options = Options()) -> Target:  # noqa: B008  an immutable value
    """Reads a URL.

    Args:
        url: ``http://``, ``ws://``, ``HOST:PORT``, ``unix:/path/of.sock`` or ``http://unix:/path/of.sock:/path``;
            None: a server is looked for on this machine.
        options: how it is spoken to.

    Raises:
        Refused: it cannot be read, is not spoken, or is not on this machine.
    """
    remarks: list[str] = []
    if url is None:
        url = _found()
        remarks.append(f"no URL was given: {url} answers")
    shown, unix, parts = _split(url)
    if parts.scheme in ("https", "wss"):
        raise Refused(f"{parts.scheme}: TLS is not spoken. Load the server behind the proxy that speaks it")
    if parts.scheme not in ("http", "ws"):
        raise Refused(f"{parts.scheme}: is neither http: nor ws: nor unix:")
    host, port = _place(parts)
    protocol = options.protocol or _protocol(parts)
    path = parts.path or "/"
    if protocol == SOCKETIO and path == "/":
        path = "/socket.io/"
    _require_printable(path + parts.query)
    headers, given_host = _headers(options.headers)
    bare = f"[{host}]" if ":" in host else host
    addresses, unresolved = _addresses(host, port, options.allow_remote) if unix is None else ([], None)
    plan = {
        "addresses": addresses,
        "unix": unix,
        "unresolved": unresolved,
        "host": given_host or ("localhost" if unix else bare if port == _PORT else f"{bare}:{port}"),
        "path": f"{path}?{parts.query}" if parts.query else path,
        "headers": headers,
        "protocol": protocol,
        "transport": options.transport,
        "engine_io": options.engine_io,
        "namespace": _namespace(options.namespace),
        "auth": _auth(options.auth),
        "patience": options.patience,
    }
    return Target(shown, protocol, plan, tuple(remarks))


def _split(url: str) -> tuple[str, Optional[str], SplitResult]:
    """The URL as it is shown, the path of a Unix socket in it, and the rest."""
    _require_printable(url)
    if "://" not in url:
        url = f"http://{url}" if not url.startswith(":") else f"http://127.0.0.1{url}"
    scheme, _, rest = url.partition("://")
    if not rest.startswith("unix:"):
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise Refused(f"{url}: {error}") from None
        if parts.username is not None:
            raise Refused(f"{url}: a password goes into --header 'Authorization: ...'")
        return url, None, parts
    unix, _, path = rest[len("unix:") :].partition(":")
    if not unix.startswith("/"):
        raise Refused(f"{url}: the path of a Unix socket begins with /")
    return url, unix, urlsplit(f"{scheme}://localhost{path}")


def _place(parts: SplitResult) -> tuple[str, int]:
    try:
        port = parts.port
    except ValueError as error:
        raise Refused(f"{parts.geturl()}: {error}") from None
    if not parts.hostname:
        raise Refused(f"{parts.geturl()}: there is no host in it")
    if port == 0:
        raise Refused(f"{parts.geturl()}: port 0 is nobody's")
    return parts.hostname, port or _PORT


def _protocol(parts: SplitResult) -> str:
    if parts.path.startswith("/socket.io"):
        return SOCKETIO
    return WEBSOCKET if parts.scheme == "ws" else HTTP


def _addresses(host: str, port: int, allowed: tuple[str, ...]) -> tuple[list[str], Optional[str]]:
    """The addresses of a host that may be loaded, or why it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if host not in allowed:
            raise Refused(f"{host}: {reason}") from None
        return [], f"{host}: {reason}"
    addresses = [str(info[4][0]) for info in found]
    away = [address for address in addresses if not _is_loopback(address)]
    if away and host not in allowed:
        raise Refused(
            f"{host} ({away[0]}) is not this machine. What this does to a server that is not yours is an attack; "
            f"if it is yours, and nobody else's: --allow-remote {host}"
        )
    return [f"[{a}]:{port}" if ":" in a else f"{a}:{port}" for a in dict.fromkeys(addresses)], None


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _headers(given: tuple[str, ...]) -> tuple[list[tuple[str, str]], Optional[str]]:
    """Headers, and a Host apart: there is one always."""
    headers, host = [], None
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or name != name.strip() or " " in name:
            raise Refused(f"--header {line!r}: is not 'Name: value'")
        _require_printable(line)
        if name.lower() == "host":
            host = value.strip()
        else:
            headers.append((name, value.strip()))
    return headers, host


def _namespace(name: str) -> str:
    if not name.startswith("/") or "," in name:
        raise Refused(f"--namespace {name!r}: begins with / and has no comma")
    _require_printable(name)
    return name


def _auth(given: Optional[str]) -> Any:
    try:
        return None if given is None else json.loads(given)
    except ValueError as error:
        raise Refused(f"--auth is not JSON: {error}") from None


def _require_printable(text: str) -> None:
    if not text.isprintable() or not text.isascii():
        raise Refused(f"{text!r}: only printable ASCII can be sent; percent-encode the rest")


def _found() -> str:
    for port in _USUAL_PORTS:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_LOOK_SECONDS):
                return f"http://127.0.0.1:{port}/"
        except OSError:
            continue
    ports = ", ".join(map(str, _USUAL_PORTS))
    raise Refused(f"no URL was given, and nobody listens on 127.0.0.1 at {ports}")
