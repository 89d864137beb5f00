"""What the rules are told: values, each with the place that it comes from."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

from .service import Service
from .values import UNKNOWN, Place, Value

__all__ = [
    "Application",
    "Directive",
    "Django",
    "Facts",
    "Location",
    "Machine",
    "Notice",
    "Package",
    "Service",
    "SocketServer",
    "Unit",
    "Upstream",
    "WebSocketRoute",
]


@dataclasses.dataclass(frozen=True)
class Notice:
    """What could not be read, or was taken for granted.

    Attributes:
        code: of the rule that reports it, for a file that its server could not read either; else empty.
    """

    text: str
    place: Optional[Place] = None
    code: str = ""


@dataclasses.dataclass(frozen=True)
class SocketServer:
    """A Socket.IO server in the sources.

    Attributes:
        kind: ``SocketIO`` (Flask-SocketIO), ``Server`` or ``AsyncServer`` (python-socketio).
        options: its keyword arguments.
        is_complete: False if some come from elsewhere (``**options``).
    """

    kind: str
    place: Place
    options: dict[str, Value]
    is_complete: bool = True

    def option(self, name: str, default: Any = None) -> Value:
        """What was given, or the default."""
        given = self.options.get(name)
        if given is not None:
            return given
        return Value(default if self.is_complete else UNKNOWN, self.place)

    def number(self, name: str, default: float) -> Optional[float]:
        """None if it is not known."""
        value = self.option(name, default).value
        if isinstance(value, (tuple, list)) and value:
            value = value[0]  # ping_interval may be (interval, grace)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@dataclasses.dataclass(frozen=True)
class WebSocketRoute:
    """A path that answers WebSockets; ``by`` is ``socketio``, ``flask_sock`` or ``channels``."""

    path: str
    by: str
    place: Place


@dataclasses.dataclass
class Application:
    """What the sources say.

    Attributes:
        monkey_patches: ``eventlet`` and ``gevent``: where they patch.
        streams: where event streams and streaming responses are made, without ``X-Accel-Buffering``.
        installs_hangup: whether it calls ``hangup.install()`` or takes hangup's client manager.
        has_sessions: where it knows its users by a cookie.
        pings: whether plain WebSockets are pinged.
        clients: major versions of socket.io-client that pages load.
    """

    servers: list[SocketServer] = dataclasses.field(default_factory=list)
    routes: list[WebSocketRoute] = dataclasses.field(default_factory=list)
    monkey_patches: dict[str, Place] = dataclasses.field(default_factory=dict)
    streams: list[Place] = dataclasses.field(default_factory=list)
    async_views: list[Place] = dataclasses.field(default_factory=list)
    group_calls: list[Place] = dataclasses.field(default_factory=list)
    installs_hangup: bool = False
    has_sessions: Optional[Place] = None
    pings: bool = False
    allows_werkzeug: Optional[Place] = None
    clients: list[Value] = dataclasses.field(default_factory=list)
    exception_middleware: set[str] = dataclasses.field(default_factory=set)
    asgi_names: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Directive:
    """One of nginx's, as it holds in a location: also inherited."""

    name: str
    arguments: tuple[str, ...]
    place: Place
    is_inherited: bool = False


@dataclasses.dataclass(frozen=True)
class Upstream:
    """``servers`` are addresses, without those that are ``down`` or ``backup``."""

    name: str
    servers: tuple[str, ...]
    directives: dict[str, Directive]
    place: Place


@dataclasses.dataclass(frozen=True)
class Location:
    """A location of nginx that proxies.

    Attributes:
        server: which server block, to compare.
        modifier: ``=``, ``^~``, ``~``, ``~*`` or empty.
        directives: those that hold here, of each name all.
        is_tls: whether its server talks TLS to clients.
        sends: ``proxy_set_header``, by lower-case name.
        is_complete: False if something is included here, or above, that we cannot read.
    """

    server: int
    modifier: str
    path: str
    place: Place
    directives: dict[str, list[Directive]]
    upstream: Optional[Upstream]
    target: str
    is_tls: bool
    sends: dict[str, Directive]
    is_complete: bool = True

    def lacks(self, *names: str) -> bool:
        """Whether none of these directives, or of these headers, is given: for certain."""
        return self.is_complete and not any(name in self.directives or name in self.sends for name in names)

    def one(self, name: str) -> Optional[Directive]:
        """The directive, if it is given here or above."""
        found = self.directives.get(name)
        return found[-1] if found else None


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit of systemd: sections, and the last value of each key; ``name`` without its folder."""

    name: str
    place: Place
    sections: dict[str, dict[str, Value]]

    def value(self, section: str, key: str) -> Optional[str]:
        """None if it is not set."""
        found = self.sections.get(section, {}).get(key)
        return None if found is None else str(found.value)

    def where(self, section: str, key: str) -> Place:
        """Of the key, or of the file."""
        found = self.sections.get(section, {}).get(key)
        return self.place if found is None else found.place


@dataclasses.dataclass
class Django:
    """Django's settings.

    Attributes:
        settings: from the module, or from the running Django.
        is_live: whether the running Django was asked.
        raises: names of the middlewares that are known to answer for exceptions.
    """

    place: Place
    settings: dict[str, Value]
    is_live: bool = False
    raises: frozenset[str] = frozenset()

    def get(self, name: str) -> Any:
        """None if it is not set, :data:`UNKNOWN` if it is computed."""
        found = self.settings.get(name)
        return None if found is None else found.value

    def where(self, name: str) -> Place:
        """Of the setting, or of the module."""
        found = self.settings.get(name)
        return self.place if found is None else found.place


@dataclasses.dataclass(frozen=True)
class Package:
    """A distribution: ``origin`` is ``pinned``, ``installed`` or ``named`` (then its version is what is installed)."""

    name: str
    version: tuple[int, ...]
    text: str
    place: Place
    origin: str


@dataclasses.dataclass
class Machine:
    """This machine, or a process of it. None: could not be read."""

    open_files: Optional[int] = None
    somaxconn: Optional[int] = None
    pid: Optional[int] = None


@dataclasses.dataclass
class Facts:
    """Everything."""

    services: list[Service] = dataclasses.field(default_factory=list)
    application: Application = dataclasses.field(default_factory=Application)
    locations: list[Location] = dataclasses.field(default_factory=list)
    nginx_connections: Optional[Value] = None
    units: list[Unit] = dataclasses.field(default_factory=list)
    django: Optional[Django] = None
    packages: dict[str, Package] = dataclasses.field(default_factory=dict)
    required: set[str] = dataclasses.field(default_factory=set)
    requirements: Optional[Place] = None
    machine: Machine = dataclasses.field(default_factory=Machine)
    notices: list[Notice] = dataclasses.field(default_factory=list)
    looked_at: list[str] = dataclasses.field(default_factory=list)
    clients: int = 100

    def version(self, name: str) -> Optional[tuple[int, ...]]:
        """Of a distribution, or None."""
        found = self.packages.get(name)
        return found.version if found else None

    def notice(self, text: str, place: Union[Place, None] = None, code: str = "") -> None:
        """Adds one, once."""
        new = Notice(text, place, code)
        if new not in self.notices:
            self.notices.append(new)

    @property
    def gunicorns(self) -> list[Service]:
        """Those services that gunicorn serves."""
        return [service for service in self.services if service.server == "gunicorn"]

    def is_native(self, service: Service) -> Optional[bool]:
        """Whether hangup owns the WebSockets of a service; None if that cannot be known."""
        if self.application.installs_hangup and not service.is_switched_off:
            return True
        return service.is_guarded(self.version("gunicorn"))

    @property
    def has_websockets(self) -> bool:
        """Whether the sources serve any."""
        return bool(self.application.servers or self.application.routes)

    def gives_websockets(self, service: Service) -> bool:
        """Whether those of the sources are of the kind that a service can serve: beside Channels WSGI is for pages."""
        by_asgi = [server.kind == "AsyncServer" for server in self.application.servers]
        by_asgi += [route.by == "channels" for route in self.application.routes]
        return service.is_asgi in by_asgi
