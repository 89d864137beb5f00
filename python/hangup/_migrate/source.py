"""A module of Python: what it has of eventlet, and what that becomes."""

from __future__ import annotations

import ast
from typing import Optional

from .._init.sources import Source, parse
from .._init.syntax import called
from .edits import Edits
from .findings import THREADS, Change, Finding
from .imports import Imports, is_green, original
from .names import PATCHES, REPLACED, SLEEPS, SPAWNS, TIMERS, advice
from .scope import Scope

WORKER_CLASSES = {"eventlet", "gunicorn.workers.geventlet.EventletWorker"}


class Rewriter:
    """Changes one module.

    Args:
        source: the module.
        servers: the names of Socket.IO servers that modules of the project define.
    """

    def __init__(self, source: Source, servers: frozenset[str]) -> None:
        self.findings: list[Finding] = []
        self._source = source
        self._scope = Scope(source.tree, servers)
        self._edits = Edits(source.text)
        self._parents = {
            child: node for node in ast.walk(source.tree) for child in ast.iter_child_nodes(node)
        }
        self._needed: dict[str, str] = {}
        self._kept: set[str] = set()
        self._removed: list[ast.stmt] = []

    def change(self) -> Optional[Change]:
        """The module without eventlet, as far as that goes; None if nothing changes."""
        for node in ast.walk(self._source.tree):
            name = self._scope.name_of(node)
            if name and not self._scope.name_of(self._parents.get(node)):
                self._use(node, name)
            elif isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Assign):
                self._setting(node)
        self._strings()
        imports = Imports(self._source.path, self._source.tree, self._kept)
        imports.rewrite(self._scope, self._edits, self._needed)
        self.findings += imports.findings
        self._edits.remove(self._source.tree, [*self._removed, *imports.removed])
        after = self._edits.made()
        if after == self._source.text:
            return None
        if parse(self._source.path, after) is None:
            self._say(
                "blocker", self._source.tree.body[0], "this file", "is not understood: change it by hand"
            )
            return None
        return Change(self._source.path, self._source.text, after)

    def _say(self, kind: str, node: ast.AST, what: str, do: str) -> None:
        self.findings.append(Finding(kind, self._source.path, getattr(node, "lineno", 1), what, do))

    def _use(self, node: ast.AST, name: str) -> None:
        parent = self._parents[node]
        call = parent if isinstance(parent, ast.Call) and parent.func is node else None
        statement = self._parents.get(call) if call else None
        alone = isinstance(statement, ast.Expr) and not self._inside(call)
        if name in REPLACED and isinstance(node, ast.expr):
            module, attribute = REPLACED[name]
            self._edits.replace(node, f"{self._module(module)}.{attribute}")
        elif name in PATCHES and alone and isinstance(statement, ast.stmt):
            self._removed.append(statement)
        elif name in SLEEPS and call and not self._inside(call):
            self._sleep(call)
        elif name in SPAWNS and call and call.args and alone:
            self._spawn(call)
        elif name in TIMERS and call and len(call.args) > 1 and alone:
            self._timer(call)
        elif name.startswith("eventlet.green.") and is_green(name):
            self._spelled_out(node, name)
        else:
            self._keep(node, name)

    def _inside(self, call: Optional[ast.Call]) -> bool:
        """Whether a call's arguments have something of eventlet themselves: they would be written as they were."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)] if call else []
        return any(self._scope.name_of(node) for argument in arguments for node in ast.walk(argument))

    def _keep(self, node: ast.AST, name: str) -> None:
        while isinstance(node, ast.Attribute):
            node = node.value
        if isinstance(node, ast.Name):
            self._kept.add(node.id)
        self._say("blocker", node, name, advice(name))

    def _module(self, name: str) -> str:
        """The name under which a module of the standard library can be used here."""
        if name in self._scope.modules and name not in self._scope.taken:
            return name
        own = {alias for alias, full in self._scope.aliases.items() if full.split(".")[-1] == name}
        used = f"{name}_" if name in self._scope.taken - own else name
        self._needed[name] = used
        return used

    def _server_at(self, node: ast.AST) -> Optional[str]:
        """The Socket.IO server's name, where that can be used."""
        if self._scope.server is None:
            return None
        name, line = self._scope.server
        inside = node
        while inside in self._parents:
            inside = self._parents[inside]
            if isinstance(inside, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                return name
        return name if getattr(node, "lineno", 0) > line else None

    def _sleep(self, call: ast.Call) -> None:
        server = self._server_at(call)
        if server:
            self._edits.replace(call.func, f"{server}.sleep")
        elif call.args or call.keywords:
            arguments = ", ".join(ast.unparse(one) for one in [*call.args, *(k.value for k in call.keywords)])
            self._edits.replace(call, f"{self._module('time')}.sleep({arguments})")
        else:
            self._edits.replace(call, f"{self._module('time')}.sleep(0)")

    def _spawn(self, call: ast.Call) -> None:
        server = self._server_at(call)
        if server:
            self._edits.replace(call.func, f"{server}.start_background_task")
            return
        function, *rest = call.args
        arguments = "".join(f"{ast.unparse(one)}, " for one in rest)
        self._edits.replace(
            call,
            f"{self._module('threading')}.Thread(target={ast.unparse(function)}"
            + (f", args=({arguments.strip()})" if rest else "")
            + self._keywords(call)
            + ", daemon=True).start()",
        )

    def _timer(self, call: ast.Call) -> None:
        delay, function, *rest = map(ast.unparse, call.args)
        arguments = f", args=[{', '.join(rest)}]" if rest else ""
        timer = f"{self._module('threading')}.Timer({delay}, {function}{arguments}{self._keywords(call)})"
        self._edits.replace(call, f"{timer}.start()")

    def _keywords(self, call: ast.Call) -> str:
        pairs = [
            f"**{ast.unparse(k.value)}" if k.arg is None else f'"{k.arg}": {ast.unparse(k.value)}'
            for k in call.keywords
        ]
        return f", kwargs={{{', '.join(pairs)}}}" if pairs else ""

    def _spelled_out(self, node: ast.AST, name: str) -> None:
        """Under an alias nothing has to change but the import; spelled out, the name does."""
        if not isinstance(node, ast.Attribute) or not ast.unparse(node).startswith("eventlet."):
            return
        module, rest = original(name)
        self._edits.replace(node, ".".join([self._module(module), *rest]))

    def _call(self, call: ast.Call) -> None:
        made = called(call)
        modes = [keyword.value for keyword in call.keywords if keyword.arg == "async_mode"]
        for mode in modes:
            for constant in ast.walk(mode):
                if isinstance(constant, ast.Constant) and constant.value == "eventlet":
                    self._edits.replace(constant, '"threading"')
        unpacked = any(keyword.arg is None for keyword in call.keywords)
        if made == "SocketIO" and not modes and not unpacked and (call.args or not call.keywords):
            last = [*call.args, *(keyword.value for keyword in call.keywords)]
            if last:  # else eventlet is chosen as long as it is installed, and gevent next
                self._edits.insert_after(
                    max(last, key=lambda one: (one.end_lineno, one.end_col_offset)),
                    ', async_mode="threading"',
                )
            else:
                self._edits.replace(call, f'{ast.unparse(call.func)}(async_mode="threading")')
        if self._scope.server and ast.unparse(call.func) == f"{self._scope.server[0]}.run":
            self._say(
                "hint", call, f"{ast.unparse(call.func)}()",
                "is werkzeug's development server on threads; in production: `hangup serve`, or gunicorn",
            )  # fmt: skip

    def _setting(self, node: ast.Assign) -> None:
        target, value = node.targets[0], node.value
        if not isinstance(target, ast.Name) or not isinstance(value, ast.Constant):
            return
        if target.id == "worker_class" and value.value in WORKER_CLASSES:
            more = "" if "threads" in self._scope.taken else f"{self._edits.newline}threads = {THREADS}"
            self._edits.replace(value, f'"gthread"{more}')
            if "hangup" not in self._source.text:
                gap = self._edits.newline
                self._edits.append(
                    f"{gap}import hangup.gunicorn{gap}{gap}hangup.gunicorn.install(globals()){gap}"
                )
        elif target.id.lower() == "async_mode" and value.value == "eventlet":
            self._edits.replace(value, '"threading"')

    def _strings(self) -> None:
        for node in ast.walk(self._source.tree):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values):
                    pair = getattr(key, "value", None), getattr(value, "value", None)
                    if pair == ("async_mode", "eventlet"):
                        self._edits.replace(value, '"threading"')
