"""Small questions to a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Optional


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


def imported(tree: ast.Module) -> set[str]:
    """The packages that are imported anywhere in a module."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
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
