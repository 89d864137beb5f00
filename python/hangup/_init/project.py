"""What a folder holds: which application, of which framework, with what kind of WebSockets.

Promised
    It is found by reading: nothing of the folder is imported or run.

How
    A ``Procfile`` and ``manage.py`` say it outright. Else modules are looked through for what makes an application,
    those named as one usually is first.

Not promised
    Applications that are put together by other means. They are named with ``--app``.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import candidates, django_project
from .sources import Source, modules
from .syntax import called, imported, literal

#: What a module that says something of an application has in it.
ABOUT = re.compile(
    r"[Ff]lask|socketio|SocketIO|DJANGO_|INSTALLED_APPS|[AW]SGI|[aw]sgi|FastAPI|Starlette|Quart|channels|create_app|make_app"
)


@dataclass(frozen=True)
class Project:
    """A folder's application.

    Attributes:
        directory: absolute.
        framework: ``"flask"``, ``"django"``, ``"wsgi"``, ``"asgi"``, or empty if none was found.
        wsgi, asgi: ``module:name`` of the application, or empty.
        settings: Django's settings module, or empty.
        socketio: whether python-socketio or Flask-SocketIO is used.
        channels: whether Django Channels is.
        queue: whether several processes can share clients: a message queue, or a channel layer of Redis.
        ping: the longest ping interval and timeout that are written down, in seconds.
        reasons: where what was found, for people.
    """

    directory: Path
    framework: str = ""
    wsgi: str = ""
    asgi: str = ""
    settings: str = ""
    socketio: bool = False
    channels: bool = False
    queue: bool = False
    ping: tuple[int, int] = (25, 20)
    reasons: tuple[str, ...] = field(default=())

    @property
    def is_asgi(self) -> bool:
        """Whether it has to be served by an ASGI server."""
        return bool(self.asgi) and (self.channels or not self.wsgi)

    @property
    def app(self) -> str:
        """The application to serve, or an empty string."""
        return self.asgi if self.is_asgi else self.wsgi


def look(directory: Path) -> Project:
    """Reads a folder; its path is absolute."""
    sources = list(modules(directory, ABOUT))
    project = _used(Project(directory), sources)
    django = django_project.find(sources)
    if django is not None:
        reasons = (*project.reasons, *django.reasons)
        return replace(
            project, framework="django", settings=django.settings, wsgi=django.wsgi, asgi=django.asgi,
            channels=django.has_channels, reasons=reasons,
        )  # fmt: skip
    chosen = candidates.find(directory, sources)
    if chosen is None:
        return project
    reasons = (*project.reasons, f"{chosen.path} has {chosen.app}")
    wsgi, asgi = ("", chosen.app) if chosen.is_asgi else (chosen.app, "")
    return replace(project, framework=chosen.framework, wsgi=wsgi, asgi=asgi, reasons=reasons)


def _used(project: Project, sources: list[Source]) -> Project:
    reasons = []
    for source in sources:
        names = imported(source.tree) & {"flask_socketio", "socketio"}
        if names and not project.socketio:
            project = replace(project, socketio=True)
            reasons.append(f"{source.path} imports {sorted(names)[0]}")
        for node in ast.walk(source.tree):
            if called(node) in {"SocketIO", "Server", "AsyncServer", "init_app"} and isinstance(
                node, ast.Call
            ):
                project = _arguments(project, node)
            elif isinstance(node, ast.Constant) and str(node.value).startswith("channels_redis."):
                project = replace(project, queue=True)
    return replace(project, reasons=tuple(reasons))


def _arguments(project: Project, call: ast.Call) -> Project:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if "message_queue" in given and literal(given["message_queue"]) != "":
        project = replace(project, queue=True)
    interval, timeout = (_seconds(literal(given.get(name))) for name in ("ping_interval", "ping_timeout"))
    return replace(project, ping=(max(project.ping[0], interval), max(project.ping[1], timeout)))


def _seconds(value: object) -> int:
    if isinstance(value, tuple) and value:  # python-engineio: the interval, and a grace
        value = value[0]
    return -int(-value // 1) if isinstance(value, (int, float)) and 0 < value < 86400 else 0
