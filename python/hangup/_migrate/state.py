"""Code that may count on not being interrupted: module-level state that handlers change.

Under eventlet a handler ran until it waited for something. On threads two of them run at the same time, and what one
reads may have been changed by another before it writes. That is a hint: what belongs together, a person has to say.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._init.sources import Source
from .._init.syntax import called
from .findings import Finding

CONTAINERS = {"dict", "list", "set", "defaultdict", "deque", "OrderedDict", "Counter"}
CHANGING = {
    "append", "add", "update", "pop", "popitem", "remove", "discard", "clear", "extend", "insert", "setdefault",
    "appendleft", "popleft", "extendleft",
}  # fmt: skip
HANDLERS = {"on", "event", "on_event", "route", "get", "post", "put", "delete", "patch"}


def shared_state(source: Source) -> Iterator[Finding]:
    """A hint for each name that handlers change without a ``with`` around it: where they do first."""
    mutable = _mutable(source.tree)
    said = set()
    for function in ast.walk(source.tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or not _is_handler(function):
            continue
        rebound = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
        for name, line in _changed(function.body, mutable | rebound, rebound):
            if name not in said:
                said.add(name)
                yield Finding(
                    "hint", source.path, line, f"{name} is changed in {function.name}()",
                    "handlers run at the same time on threads: a threading.Lock around what belongs together",
                )  # fmt: skip


def _mutable(tree: ast.Module) -> set[str]:
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            is_container = (
                isinstance(node.value, (ast.Dict, ast.List, ast.Set))
                or called(node.value or node) in CONTAINERS
            )
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and is_container:
                    found.add(target.id)
    return found


def _is_handler(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in function.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(node, ast.Attribute) and node.attr in HANDLERS:
            return True
    return (
        function.name.startswith("on_") and bool(function.args.args) and function.args.args[0].arg == "self"
    )


def _changed(body: list[ast.stmt], names: set[str], rebound: set[str]) -> Iterator[tuple[str, int]]:
    """What statements change, outside of ``with``: that is taken for a lock."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            continue
        yield from (
            (name, node.lineno)
            for name in _names(node, rebound)
            if name in names and isinstance(node, (ast.expr, ast.stmt))
        )
        waiting = [*ast.iter_child_nodes(node), *waiting]


def _names(node: ast.AST, rebound: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        yield _root(node.func.value)
    targets = (
        node.targets
        if isinstance(node, (ast.Assign, ast.Delete))
        else [node.target]
        if isinstance(node, ast.AugAssign)
        else []
    )
    for target in targets:
        if isinstance(target, (ast.Subscript, ast.Attribute)):
            yield _root(target)
        elif isinstance(target, ast.Name) and target.id in rebound:
            yield target.id


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
