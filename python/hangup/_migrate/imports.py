"""Import statements that have eventlet in them: what stays, and what comes instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .edits import Edits
from .findings import Finding
from .names import BLOCKERS, GREEN, RENAMED, advice
from .scope import Scope


class Imports:
    """Those of a module.

    Args:
        path: of the module, for findings.
        tree: the module.
        kept: names of eventlet's that are still used.

    Attributes:
        removed: statements of which nothing stays.
        findings: what a person should know.
    """

    def __init__(self, path: Path, tree: ast.Module, kept: set[str]) -> None:
        self.removed: list[ast.stmt] = []
        self.findings: list[Finding] = []
        self._path = path
        self._tree = tree
        self._kept = kept

    def rewrite(self, scope: Scope, edits: Edits, needed: dict[str, str]) -> None:
        """Changes them.

        Args:
            needed: modules of the standard library that are used now, and under which names.
        """
        wanted = [
            f"import {m}" if m == name else f"import {m} as {name}" for m, name in sorted(needed.items())
        ]
        places = self._places(scope.imports)
        for statement in scope.imports:
            kept, others = self._parts(statement)
            more = wanted if statement in places else []
            if len(kept) == len(statement.names) and not more:
                continue
            module = getattr(statement, "module", None)
            staying = ", ".join(kept)
            lines = [f"from {module} import {staying}" if module else f"import {staying}"] if kept else []
            if lines + others + more:
                indent = edits.newline + " " * statement.col_offset
                edits.replace(statement, indent.join(dict.fromkeys(lines + others + more)))
            else:
                self.removed.append(statement)

    def _places(self, statements: list[ast.Import | ast.ImportFrom]) -> list[ast.Import | ast.ImportFrom]:
        """Where other imports can stand: at the first one of the module, or else of each function."""
        functions = [set(ast.walk(node)) for node in ast.walk(self._tree) if _is_function(node)]
        outside = [one for one in statements if not any(one in inside for inside in functions)]
        firsts = [[one for one in statements if one in inside][:1] for inside in functions]
        return outside[:1] or [one for first in firsts for one in first]

    def _parts(self, statement: ast.Import | ast.ImportFrom) -> tuple[list[str], list[str]]:
        """What stays of a statement, and the statements that come in the place of the rest."""
        module = getattr(statement, "module", None)
        kept: list[str] = []
        others: list[str] = []
        for alias in statement.names:
            name = alias.asname or alias.name.split(".")[0]
            full = f"{module}.{alias.name}" if module else alias.name
            if full.startswith("eventlet.green.") and is_green(full):
                others.append(_green_import(full, alias.asname or (alias.name if module else "")))
                self._say("hint", statement, full, "blocks its own thread now: look at its timeouts")
                continue
            unused = full != "eventlet" and full in BLOCKERS and not self._is_used(name)
            if name not in self._kept and (unused or alias.name == "*"):
                self._say("blocker", statement, full, advice(full))
            if name in self._kept or unused or alias.name == "*" or full.split(".")[0] != "eventlet":
                kept.append(f"{alias.name} as {alias.asname}" if alias.asname else alias.name)
        return kept, others

    def _say(self, kind: str, node: ast.stmt, what: str, do: str) -> None:
        self.findings.append(Finding(kind, self._path, node.lineno, what, do))

    def _is_used(self, name: str) -> bool:
        return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(self._tree))


def is_green(name: str) -> bool:
    """Whether a name of ``eventlet.green`` is one of the standard library's."""
    return any(".".join(parts) in GREEN or parts[0] in RENAMED for parts in _beginnings(name.split(".")[2:]))


def _beginnings(parts: list[str]) -> Iterator[list[str]]:
    return (parts[:end] for end in range(1, len(parts) + 1))


def original(name: str) -> tuple[str, list[str]]:
    """The module that a name of ``eventlet.green`` stands for, and the names behind it."""
    first, *rest = name.split(".")[2:]
    return RENAMED.get(first, first), rest


def _green_import(full: str, name: str) -> str:
    """The import of the original; without a name, its uses are spelled out."""
    module, rest = original(full)
    whole = ".".join([module, *rest])
    if not name or name == whole:
        return f"import {whole}"
    if rest:
        parent, _, last = whole.rpartition(".")
        return f"from {parent} import {last}" + (f" as {name}" if name != last else "")
    return f"import {whole} as {name}"


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
