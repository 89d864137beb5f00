"""What the Python sources, and the pages, of an application say about its WebSockets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import Application, SocketServer, WebSocketRoute
from ..values import UNKNOWN, Place, Value
from .expressions import Evaluated, dotted, evaluate, parse

#: Only sources in which this is are parsed.
_WORDS = re.compile(
    r"socketio|SocketIO|monkey|flask_sock|hangup\.(install|flask)|as_asgi|event-stream|StreamingHttpResponse"
    r"|group_(add|send)|async def \w+\(request|process_exception|flask_login"
)
_SERVERS = {"SocketIO": "SocketIO", "Server": "Server", "AsyncServer": "AsyncServer"}
_CLIENT = re.compile(r"socket\.io(?:-client)?[@/](\d+)\.\d+|\"socket\.io-client\"\s*:\s*\"[\^~]?(\d+)\.")
_ROUTES = ("path", "re_path", "url", "django.urls.path", "django.urls.re_path", "urls.path", "urls.re_path")


def is_of_interest(text: str) -> bool:
    """Whether a source is worth parsing."""
    return bool(_WORDS.search(text))


def read_page(text: str, shown: str, found: Application) -> None:
    """A page or a ``package.json``: which socket.io-client it loads."""
    for match in _CLIENT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.clients.append(Value(int(match[1] or match[2]), Place(shown, line)))


def read_source(text: str, shown: str, module: str, found: Application) -> None:
    """Adds what a source says.

    Raises:
        SyntaxError: it is not of this Python.
    """
    _Source(parse(text), text, shown, module, found).read()


class _Source:
    def __init__(self, tree: ast.Module, text: str, shown: str, module: str, found: Application) -> None:
        self._tree = tree
        self._text = text
        self._shown = shown
        self._module = module
        self._found = found
        self._origins: dict[str, str] = {}  # what an imported name is
        self._names: dict[str, Evaluated] = {}
        self._servers: dict[str, SocketServer] = {}
        self._sockets: set[str] = set()

    def read(self) -> None:
        nodes = list(ast.walk(self._tree))
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    head = alias.name.partition(".")[0]
                    self._origins[alias.asname or head] = alias.name if alias.asname else head
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self._origins[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
        self._constants()
        for node in nodes:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
                self._made(
                    dotted(node.targets[0] if isinstance(node, ast.Assign) else node.target), node.value
                )
        for node in nodes:
            if isinstance(node, ast.Call):
                self._made("", node)  # one that is given to somebody else at once
        for node in nodes:
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._function(node)
            elif isinstance(node, ast.ClassDef):
                self._class(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text_in_it(node)
        self._found.servers += self._servers.values()
        self._sessions()

    def _constants(self) -> None:
        environment: Mapping[str, str] = {}
        for node in self._tree.body:
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)
            ):
                name = node.targets[0].id
                known = name in self._names
                value = evaluate(node.value, self._names, environment)
                self._names[name] = (
                    Evaluated(value.value, value.assumed) if not known else evaluate(None, {}, {})
                )

    def _origin(self, node: ast.AST) -> str:
        head, _, tail = dotted(node).partition(".")
        return ".".join(filter(None, [self._origins.get(head, head), tail])) if head else ""

    def _made(self, target: str, call: ast.Call) -> None:
        origin = self._origin(call.func)
        kind = _SERVERS.get(origin.rpartition(".")[2], "")
        package = origin.partition(".")[0]
        place = Place(self._shown, call.lineno)
        if any(server.place == place for server in self._servers.values()):
            return
        if (kind == "SocketIO" and package == "flask_socketio") or (kind and package == "socketio"):
            options, is_complete = self._options(call)
            self._servers[target or str(place)] = SocketServer(kind, place, options, is_complete)
        elif origin == "flask_sock.Sock" and target:
            self._sockets.add(target)

    def _options(self, call: ast.Call) -> tuple[dict[str, Value], bool]:
        options = {}
        is_complete = True
        for keyword in call.keywords:
            if keyword.arg is None:
                is_complete = False
                continue
            value = evaluate(keyword.value, self._names, {})
            place = Place(self._shown, keyword.value.lineno)
            if keyword.arg == "client_manager" and "Manager" in ast.unparse(keyword.value)[:200]:
                value = Evaluated(ast.unparse(keyword.value)[:200])
            if (
                value.assumed and not value.value
            ):  # a queue, or origins, of the environment: there may well be one
                value = Evaluated(UNKNOWN)
            options[keyword.arg] = Value(value.value, place, value.assumed)
        return options, is_complete

    def _call(self, call: ast.Call) -> None:
        origin = self._origin(call.func)
        place = Place(self._shown, call.lineno)
        last = origin.rpartition(".")[2]
        before = dotted(call.func).rpartition(".")[0]
        if last == "init_app" and before in self._servers:
            server = self._servers[before]
            options, is_complete = self._options(call)
            self._servers[before] = SocketServer(
                server.kind, server.place, {**server.options, **options}, server.is_complete and is_complete
            )
        elif origin in ("eventlet.monkey_patch", "gevent.monkey.patch_all"):
            self._found.monkey_patches.setdefault(origin.partition(".")[0], place)
        elif origin in ("hangup.install", "hangup.flask.Hangup") or origin.startswith(
            "hangup.flask_socketio."
        ):
            self._found.installs_hangup = True
        elif last in ("StreamingHttpResponse",):
            self._found.streams.append(place)
        elif last in ("group_add", "group_send") and "layer" in before:
            self._found.group_calls.append(place)
        elif (
            last == "run"
            and before in self._servers
            and any(
                keyword.arg == "allow_unsafe_werkzeug" and getattr(keyword.value, "value", None) is True
                for keyword in call.keywords
            )
        ):
            self._found.allows_werkzeug = place
        elif last in _ROUTES and len(call.args) > 1:
            self._django_route(call)

    def _django_route(self, call: ast.Call) -> None:
        pattern = call.args[0]
        called = call.args[1]
        is_consumer = isinstance(called, ast.Call) and dotted(called.func).endswith(".as_asgi")
        if is_consumer and isinstance(pattern, ast.Constant) and isinstance(pattern.value, str):
            plain = re.split(r"[<(\[\\*+?.$]", pattern.value.lstrip("^"))[0]
            place = Place(self._shown, call.lineno)
            self._found.routes.append(WebSocketRoute("/" + plain.lstrip("/"), "channels", place))

    def _function(self, node: Any) -> None:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                target, name = dotted(decorator.func.value), decorator.func.attr
                if name == "route" and target in self._sockets and decorator.args:
                    path = getattr(decorator.args[0], "value", None)
                    if isinstance(path, str):
                        place = Place(self._shown, node.lineno)
                        self._found.routes.append(WebSocketRoute(path, "flask_sock", place))
        arguments = [argument.arg for argument in node.args.args[:1]]
        if isinstance(node, ast.AsyncFunctionDef) and arguments == ["request"]:
            self._found.async_views.append(Place(self._shown, node.lineno))

    def _class(self, node: ast.ClassDef) -> None:
        methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
        if "process_exception" in methods:
            self._found.exception_middleware.add(f"{self._module}.{node.name}")

    def _text_in_it(self, node: ast.Constant) -> None:
        if node.value == "SOCK_SERVER_OPTIONS" and "ping_interval" in self._text:
            self._found.pings = True
        elif str(node.value).startswith("text/event-stream") and "X-Accel-Buffering" not in self._text:
            self._found.streams.append(Place(self._shown, node.lineno))

    def _sessions(self) -> None:
        named = set(self._origins.values())
        if named & {"flask.session", "flask_login.current_user", "flask_login.LoginManager"}:
            self._found.has_sessions = self._found.has_sessions or Place(self._shown)


def paths(found: Application) -> Iterator[tuple[str, str]]:
    """Where WebSockets are served, and by what."""
    for server in found.servers:
        named = server.option("path", server.option("resource", "socket.io").value).value
        name = named if isinstance(named, str) else "socket.io"
        yield "/" + name.strip("/") + "/", "socketio"
    for route in found.routes:
        yield route.path, route.by
