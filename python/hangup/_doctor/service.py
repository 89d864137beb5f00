"""A server as it is started: by a command line, its environment and its configuration file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Optional

from .._gunicorn.support import LEFT_ALONE, NEWEST_TESTED, OLDEST
from .._mode import ON, meaning
from .values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from .facts import Unit

#: gunicorn's, of the settings that rules ask for.
DEFAULTS: dict[str, Any] = {
    "backlog": 2048,
    "bind": ["127.0.0.1:8000"],
    "certfile": None,
    "daemon": False,
    "graceful_timeout": 30,
    "keepalive": 2,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "preload_app": False,
    "reload": False,
    "threads": 1,
    "timeout": 30,
    "worker_class": "sync",
    "worker_connections": 1000,
    "workers": 1,
}

#: What each is, by the words in the name of a worker class. In order.
_WORKERS = (
    ("geventwebsocket", "geventwebsocket"),
    ("gevent", "gevent"),
    ("eventlet", "eventlet"),
    ("gthread", "gthread"),
    ("uvicorn", "uvicorn"),
    ("tornado", "tornado"),
    ("gasgi", "asgi"),
    ("asgi", "asgi"),
)
#: Worker classes that serve ASGI.
ASGI_WORKERS = ("asgi", "uvicorn")
#: Worker classes that serve WSGI and nothing else.
WSGI_WORKERS = ("sync", "gthread", "gevent", "geventwebsocket", "eventlet")
#: Those whose sockets hangup takes over.
GUARDED_WORKERS = ("sync", "gthread", "gevent", "eventlet")
#: Servers of ASGI.
ASGI_SERVERS = ("uvicorn", "daphne", "hypercorn")


@dataclasses.dataclass
class Service:
    """One way in which a server is started.

    Attributes:
        server: ``gunicorn``, ``uvicorn``, ``daphne``, ``hypercorn``, ``flask run``, ``runserver``.
        kind: what starts it: ``systemd``, ``container``, ``procfile``, ``script``, ``configuration``, ``command``,
            ``process``, ``environment``.
        settings: those that are given, as gunicorn would add them up.
        is_complete: False if some are written where we cannot read.
        hangup: whether ``hangup.gunicorn`` is in the configuration; None if that cannot be known.
        replicas: of the container.
        stop_grace: seconds between the container's TERM and its KILL.
        is_wrapped: whether a shell stands between systemd and it.
        lost_hook: where a hook of the configuration's own replaces one of hangup's.
    """

    server: str
    kind: str
    place: Place
    settings: dict[str, Value] = dataclasses.field(default_factory=dict)
    application: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    is_complete: bool = True
    hangup: Optional[bool] = False
    unit: Optional[Unit] = None
    replicas: int = 1
    stop_grace: Optional[Value] = None
    is_wrapped: bool = False
    lost_hook: Optional[Value] = None
    configuration: Optional[str] = None

    def setting(self, name: str) -> Value:
        """What holds: given, or gunicorn's default."""
        given = self.settings.get(name)
        if given is not None:
            return given
        if name == "workers" and self.environment.get("WEB_CONCURRENCY", "").isdigit():
            return Value(int(self.environment["WEB_CONCURRENCY"]), self.place, "WEB_CONCURRENCY")
        return Value(DEFAULTS.get(name) if self.is_complete else UNKNOWN, self.place)

    def number(self, name: str) -> Optional[int]:
        """None if it is not known."""
        value = self.setting(name).value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return int(value) if is_number and abs(value) < 1e12 else None

    def where(self, name: str) -> Place:
        """Where a setting is given, or what it would have to be given to."""
        return self.setting(name).place

    @property
    def worker(self) -> str:
        """``sync``, ``gthread`` …; the name itself of a class that is not known; empty if computed."""
        named = self.setting("worker_class").value
        if named is UNKNOWN:
            return ""
        if not isinstance(named, str):
            return repr(named)
        for word, kind in _WORKERS:
            if word in named.lower():
                return kind
        if named != "sync":
            return named
        threads = self.number("threads")
        if threads is None:
            return ""
        return "gthread" if threads > 1 else "sync"

    @property
    def is_asgi(self) -> bool:
        """Whether it serves ASGI applications."""
        return self.server in ASGI_SERVERS or (self.server == "gunicorn" and self.worker in ASGI_WORKERS)

    @property
    def processes(self) -> Optional[int]:
        """How many serve, all replicas together; None if that is computed."""
        if self.server in ("daphne", "flask run", "runserver"):
            return self.replicas
        workers = self.number("workers")
        return None if workers is None else workers * self.replicas

    @property
    def is_switched_off(self) -> bool:
        """Whether ``HANGUP`` in its environment says so."""
        return meaning(self.environment.get("HANGUP", "")) != ON

    def is_guarded(self, gunicorn: Optional[tuple[int, ...]]) -> Optional[bool]:
        """Whether hangup owns its sockets, under that version of gunicorn; None if that cannot be known."""
        if self.server != "gunicorn" or self.hangup is False or self.is_switched_off:
            return False
        if self.worker and self.worker not in GUARDED_WORKERS:
            return False
        if self.setting("certfile").value:
            return False
        if gunicorn and not OLDEST <= gunicorn[:2] < (NEWEST_TESTED + 1,):
            return False
        return None if self.hangup is None or not self.worker else True

    @property
    def left_alone(self) -> str:
        """Why hangup does not guard this worker, in its own words; else empty."""
        for name, reason in LEFT_ALONE.items():
            if self.worker and self.worker.capitalize().replace("Asgi", "ASGI") in name:
                return reason
        return "gevent-websocket answers handshakes itself" if self.worker == "geventwebsocket" else ""
