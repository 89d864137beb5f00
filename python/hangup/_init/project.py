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
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional, Union

from .sources import Source, modules, text_of

APPLICATION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?", re.ASCII)

#: What makes an application, by the name that is called: its framework and whether it is ASGI.
MAKERS = {
    "Flask": ("flask", False),
    "APIFlask": ("flask", False),
    "FastAPI": ("asgi", True),
    "Starlette": ("asgi", True),
    "Quart": ("asgi", True),
    "WSGIApp": ("wsgi", False),  # python-socketio's
    "ASGIApp": ("asgi", True),
}
FACTORIES = ("create_app", "make_app")
USUAL_MODULES = ("wsgi", "app", "application", "main", "server", "run")
SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn", "granian")


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
    """Reads a folder."""
    directory = directory.resolve()
    sources = list(modules(directory))
    project = _used(Project(directory), sources)
    django = _django(project, sources)
    return django or _application(project, sources)


def called(node: ast.AST) -> str:
    """The last name of what is called, ``"SocketIO"`` for ``flask_socketio.SocketIO(app)``; else empty."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def literal(node: Optional[ast.AST]) -> object:
    """The value of a constant expression, or None."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def _used(project: Project, sources: list[Source]) -> Project:
    reasons = []
    for source in sources:
        names = _imports(source.tree) & {"flask_socketio", "socketio"}
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


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Module-level names and what they are set to, those behind ``if`` and ``try`` too."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop(0)):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        yield target.id, node.value
            elif isinstance(node, (ast.If, ast.Try, ast.With)):
                waiting.append(node)


def _django(project: Project, sources: list[Source]) -> Optional[Project]:
    by_module = {source.module: source for source in sources}
    settings, why = "", ""
    for name in ("manage", *[one for one in by_module if one.split(".")[-1] in {"wsgi", "asgi"}]):
        for node in ast.walk(by_module[name].tree) if name in by_module else ():
            if called(node) == "setdefault" and isinstance(node, ast.Call) and len(node.args) == 2:
                key, value = literal(node.args[0]), literal(node.args[1])
                if key == "DJANGO_SETTINGS_MODULE" and isinstance(value, str) and not settings:
                    settings, why = value, f"{by_module[name].path} names {value}"
    if not settings:
        return None
    found: dict[str, str] = {}
    has_channels = False
    package = settings.split(".")[0]
    for module, source in by_module.items():
        if module != settings and not module.startswith(f"{settings}."):
            continue
        for name, value in _assigned(source.tree):
            path = literal(value)
            if name in {"WSGI_APPLICATION", "ASGI_APPLICATION"} and isinstance(path, str) and "." in path:
                found.setdefault(name, ":".join(path.rsplit(".", 1)))
        texts = {
            n.value for n in ast.walk(source.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        has_channels = has_channels or bool(texts & {"channels", "daphne"})
    for name, module in (("WSGI_APPLICATION", "wsgi"), ("ASGI_APPLICATION", "asgi")):
        if name not in found and f"{package}.{module}" in by_module:
            found[name] = f"{package}.{module}:application"
    wsgi, asgi = found.get("WSGI_APPLICATION", ""), found.get("ASGI_APPLICATION", "")
    reasons = [*project.reasons, why] + ([f"{settings} has Channels"] if has_channels else [])
    return replace(
        project, framework="django", settings=settings, wsgi=wsgi, asgi=asgi,
        channels=has_channels and bool(asgi), reasons=tuple(reasons),
    )  # fmt: skip


def _application(project: Project, sources: list[Source]) -> Project:
    found = sorted(_candidates(sources), key=lambda one: one[0])
    named = _configured(sources) or _procfile(project.directory)
    if named is not None:
        server, app, where = named
        kinds = {candidate: (framework, asgi) for _rank, candidate, framework, asgi, _path in found}
        framework, asgi = kinds.get(app, ("asgi" if server in {"uvicorn", "daphne"} else "wsgi",) * 2)
        is_asgi = bool(asgi) if app in kinds else server in {"uvicorn", "daphne", "hypercorn"}
        chosen: Optional[tuple[str, str, bool, str]] = (app, str(framework), is_asgi, where)
    else:
        chosen = (found[0][1], found[0][2], found[0][3], str(found[0][4])) if found else None
    if chosen is None:
        return project
    app, framework, is_asgi, path = chosen
    reasons = (*project.reasons, f"{path} has {app}")
    which = {"asgi": app} if is_asgi else {"wsgi": app}
    return replace(project, framework=framework, reasons=reasons, **which)  # type: ignore[arg-type]


_Candidate = tuple[tuple[int, int, int, str], str, str, bool, Path]


def _candidates(sources: list[Source]) -> Iterator[_Candidate]:
    for source in sources:
        module = source.module
        parts = module.split(".")
        if not all(part.isidentifier() for part in parts) or {"tests", "test", "conftest"} & set(parts):
            continue
        usual = USUAL_MODULES.index(parts[-1]) if parts[-1] in USUAL_MODULES else len(USUAL_MODULES)
        flask = "flask" in _imports(source.tree)
        for name, framework, is_asgi, wrapped in _made(source.tree, flask):
            common = ("app", "application").index(name) if name in {"app", "application"} else 2
            rank = (0 if wrapped else 1, usual, common + 3 * name.endswith(")"), module)
            yield rank, f"{module}:{name}", framework, is_asgi, source.path


def _made(tree: ast.Module, flask: bool) -> Iterator[tuple[str, str, bool, bool]]:
    for name, value in _assigned(tree):
        maker = called(value)
        if maker in MAKERS:
            framework, is_asgi = MAKERS[maker]
            yield name, framework, is_asgi, maker in {"WSGIApp", "ASGIApp"}
        elif maker in FACTORIES:
            yield name, "flask", False, False
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name in FACTORIES
            and flask
            and not _required(node.args)
        ):
            yield f"{node.name}()", "flask", False, False


def _required(arguments: ast.arguments) -> bool:
    positional: list[Union[ast.arg, ast.expr]] = [*arguments.posonlyargs, *arguments.args]
    return len(positional) > len(arguments.defaults) or None in arguments.kw_defaults


def _configured(sources: list[Source]) -> Optional[tuple[str, str, str]]:
    for source in sources:
        if source.path == Path("gunicorn.conf.py"):
            app = dict(_assigned(source.tree)).get("wsgi_app")
            if isinstance(literal(app), str):
                return "gunicorn", str(literal(app)), str(source.path)
    return None


def _procfile(directory: Path) -> Optional[tuple[str, str, str]]:
    for line in (text_of(directory / "Procfile") or "").splitlines():
        kind, _, command = line.partition(":")
        if kind.strip() != "web":
            continue
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        server = next((word for word in words if word in SERVERS), "")
        app = next((word for word in words if APPLICATION.fullmatch(word)), "")
        if server and app:
            return server, app, "Procfile"
    return None
