"""What names stand for in a module: by what it imports."""

from __future__ import annotations

import ast
from typing import Optional

from .._init.syntax import called


class Scope:
    """The imports of a module, and the names that it has taken.

    Attributes:
        aliases: what a name stands for, in eventlet's words: ``{"sleep": "eventlet.sleep"}``.
        imports: the import statements that have eventlet in them.
        taken: every name that is bound somewhere in the module, but by importing a module of that name.
        modules: the modules that are imported under their own names.
        server: the name of the Socket.IO server, and the line where it comes to be; or None.
    """

    def __init__(self, tree: ast.Module, servers: frozenset[str] = frozenset()) -> None:
        self.aliases: dict[str, str] = {}
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self.taken: set[str] = set()
        self.modules: set[str] = set()
        self.server: Optional[tuple[str, int]] = None
        for node in ast.walk(tree):
            self._bind(node)
        for node in tree.body:
            self._find_server(node, servers)

    def name_of(self, node: Optional[ast.AST]) -> str:
        """The full name in eventlet of what an expression names, or an empty string."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, "")
        if isinstance(node, ast.Attribute):
            owner = self.name_of(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._import(alias, alias.name if alias.asname else alias.name.split(".")[0], alias.name)
            if any(_is_eventlets(alias.name) for alias in node.names):
                self.imports.append(node)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self._import(alias, f"{node.module}.{alias.name}", node.module or "")
            if node.level == 0 and _is_eventlets(node.module or ""):
                self.imports.append(node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.taken.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.taken.add(node.name)
        elif isinstance(node, ast.arg):
            self.taken.add(node.arg)

    def _import(self, alias: ast.alias, full: str, module: str) -> None:
        name = alias.asname or (alias.name.split(".")[0])
        if _is_eventlets(module):
            self.aliases[name] = full
        elif full == name:
            self.modules.add(name)
        else:
            self.taken.add(name)

    def _find_server(self, node: ast.stmt, servers: frozenset[str]) -> None:
        if isinstance(node, ast.Assign) and called(node.value) in {"SocketIO", "Server"}:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                self.server = (target.id, node.end_lineno or node.lineno)
        elif isinstance(node, ast.ImportFrom) and self.server is None:
            for alias in node.names:
                if alias.name in servers:
                    self.server = (alias.asname or alias.name, node.lineno)


def _is_eventlets(module: str) -> bool:
    return module.split(".")[0] == "eventlet"
