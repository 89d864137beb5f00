"""Every figure and name of a service, decided once, so that its files agree.

Promised
    A :class:`Plan` that exists can be written into every file: its names and paths have passed :mod:`.quoting`.

How
    The clients are counted in descriptors, the heartbeat decides how long nginx waits, gunicorn's patience how long
    systemd does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class Refused(ValueError):
    """What was asked for cannot be written down. Its text says why, to people."""


#: Seconds that gunicorn keeps an idle connection: longer than nginx does, so that nginx is the one to close.
KEEPALIVE = 75
UPSTREAM_KEEPALIVE = 60
#: Seconds that a worker may finish its requests, and the seconds more until systemd kills.
GRACEFUL = 30
BEFORE_THE_KILL = 15
#: Descriptors of a worker that no client causes: files, pools, pipes.
OWN_DESCRIPTORS = 1024

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}", re.ASCII)
_APP = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?", re.ASCII)
_DOMAIN = re.compile(
    r"_|(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII
)
_PATH = re.compile(r"/[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_SOCKET = re.compile(r"/[A-Za-z0-9._/@+-]{1,100}", re.ASCII)
_LOCATION = re.compile(r"/[A-Za-z0-9._~/-]*", re.ASCII)


@dataclass(frozen=True)
class Plan:
    """A service.

    Attributes:
        name: of the unit, the upstream, the folders below /run and /var/log.
        directory: of the application; absolute.
        programs: where gunicorn, uvicorn and hangup are; absolute.
        app: ``module:name``.
        server: ``"gunicorn"`` or ``"uvicorn"``.
        user, group: who runs it.
        workers, threads: of the server.
        clients: how many are connected at the same time.
        domains: that nginx answers for.
        port: where the application listens, on the loopback interface; 0 if on a Unix socket.
        listen: the port of nginx.
        certificate, key: paths of TLS, or empty.
        static: what nginx serves itself below ``/static/``, or empty.
        websockets: paths whose responses nginx passes on unbuffered.
        ping: interval and timeout of the heartbeat, in seconds.
        watch: ``""``, ``"main"`` (``hangup watch`` starts the server) or ``"beside"``.
        redis: whether compose starts one.
        socketio: whether the clients speak Socket.IO.
        queue: whether its processes can share clients.
    """

    name: str
    directory: str
    programs: str
    app: str
    server: str = "gunicorn"
    user: str = "www-data"
    group: str = "www-data"
    workers: int = 1
    threads: int = 16
    clients: int = 1000
    domains: tuple[str, ...] = ("_",)
    port: int = 8000
    socket: str = ""
    listen: int = 80
    certificate: str = ""
    key: str = ""
    static: str = ""
    websockets: tuple[str, ...] = ()
    ping: tuple[int, int] = (25, 20)
    watch: str = ""
    redis: bool = False
    socketio: bool = False
    queue: bool = False

    def __post_init__(self) -> None:
        matches(_NAME, self.name, "a service's name is letters, digits, - and _, and begins with a letter")
        matches(_APP, self.app, "an application is named as module:name, or module:factory()")
        for who in (self.user, self.group):
            matches(_USER, who, "a user's or group's name is small letters, digits, - and _")
        for domain in self.domains:
            matches(_DOMAIN, domain, "a domain is letters, digits, - and dots")
        for location in self.websockets:
            matches(
                _LOCATION,
                location,
                "a path of WebSockets begins with / and has letters, digits, . _ ~ - and /",
            )
        if self.socket:
            matches(
                _SOCKET,
                self.socket,
                "a Unix socket's path is absolute, of at most 100 letters, digits and . _ / @ + -",
            )
        for path in (self.directory, self.programs, self.certificate, self.key, self.static):
            path_is_quotable(path)
        if set(self.programs) & set("'\"\\"):
            raise Refused(f"{shown(self.programs)}: systemd starts no program whose path has quotes or a \\")
        for path in (self.certificate, self.key, self.static):
            if set(path) & set("$\\"):
                raise Refused(f"{shown(path)}: nginx takes a $ or \\ in a path for more than itself")
        if bool(self.certificate) != bool(self.key):
            raise Refused("TLS takes a certificate and its key")

    @property
    def is_gunicorn(self) -> bool:
        """Else uvicorn."""
        return self.server == "gunicorn"

    @property
    def runtime(self) -> str:
        """The folder that systemd makes below /run."""
        return f"/run/{self.name}"

    @property
    def pidfile(self) -> str:
        """Of gunicorn's master."""
        return f"{self.runtime}/gunicorn.pid"

    @property
    def logs(self) -> str:
        """The folder that systemd makes below /var/log."""
        return f"/var/log/{self.name}"

    @property
    def read_timeout(self) -> int:
        """Seconds of silence after which nginx gives a connection up: two heartbeats may be late."""
        return max(2 * sum(self.ping), 60)

    @property
    def stop_timeout(self) -> int:
        """Seconds after which systemd, Docker and Render kill."""
        return GRACEFUL + BEFORE_THE_KILL

    @property
    def descriptors(self) -> int:
        """For a process: all clients may be with one worker, and what their requests open."""
        return max(4096, _rounded(2 * self.clients + OWN_DESCRIPTORS))

    @property
    def proxy_connections(self) -> int:
        """Of each nginx worker: a client and its upstream are two."""
        return _rounded(2 * self.clients + OWN_DESCRIPTORS)


def _rounded(count: int) -> int:
    return -(-count // 1024) * 1024


def matches(pattern: re.Pattern[str], text: str, rule: str) -> None:
    """Refuses what a pattern does not match as a whole."""
    if not pattern.fullmatch(text):
        raise Refused(f"{shown(text)}: {rule}")


def path_is_quotable(path: str) -> None:
    """Refuses a path that a file's syntax cannot quote: control characters, and ends that systemd would strip."""
    if path and (not _PATH.fullmatch(path) or path != path.strip() or path.endswith("\\")):
        raise Refused(
            f"{shown(path)}: a path is absolute, without control characters, and does not end in a space or \\"
        )


def shown(text: str) -> str:
    """A text from outside, for a message: nothing in it reaches the terminal as it is."""
    return ascii(text) if len(text) <= 200 else f"{text[:200]!a}…"


def named_after(directory: Path) -> str:
    """A service's name from its folder's."""
    letters = re.sub(r"[^A-Za-z0-9_-]+", "-", directory.name).strip("-")
    return letters[:60] if _NAME.fullmatch(letters[:60]) else "app"
