"""gunicorn's configuration file, as gunicorn would read it: the names that are bound at its end."""

from __future__ import annotations

import ast
import dataclasses
import os
from collections.abc import Mapping
from typing import Optional

from ..values import UNKNOWN, Place, Value
from .expressions import Evaluated, dotted, evaluate, parse
from .files import Unreadable, find, read
from .files import shown as name_of

OURS = "hangup.gunicorn"
#: Without these nothing is guarded, or after a HUP nothing.
_NEEDED = ("on_starting", "on_reload")
_DEEPEST = 5


@dataclasses.dataclass
class Configuration:
    """What a file sets.

    Attributes:
        problem: why it could not be read, and where; else None.
        is_complete: False if it takes names from where we cannot read.
        hangup: whether hangup's hooks are in it; None if that depends.
        lost_hook: the hook that replaces one of hangup's.
    """

    settings: dict[str, Value] = dataclasses.field(default_factory=dict)
    problem: Optional[Value] = None
    is_complete: bool = True
    hangup: Optional[bool] = False
    lost_hook: Optional[Value] = None


def read_configuration(path: str, shown: str, root: str, environment: Mapping[str, str]) -> Configuration:
    """Reads a file; ``shown`` is its name in places."""
    try:
        source = read(path)
    except Unreadable as error:
        return Configuration(problem=Value(str(error), Place(shown)), is_complete=False, hangup=None)
    return _Reader(shown, os.path.dirname(path), root, environment).read(source)


class _Reader:
    """Follows the statements of the file, in order."""

    def __init__(
        self, shown: str, folder: str, root: str, environment: Mapping[str, str], depth: int = 0
    ) -> None:
        self._shown = shown
        self._folder = folder
        self._root = root
        self._environment = environment
        self._depth = depth
        self._names: dict[str, Evaluated] = {}
        self._aliases: dict[str, str] = {}  # what names are modules of
        self._lines: dict[str, int] = {}
        self.found = Configuration()

    def read(self, source: str) -> Configuration:
        try:
            tree = parse(source)
        except SyntaxError as error:
            self.found.problem = Value(error.msg or str(error), Place(self._shown, error.lineno or 0))
            self.found.is_complete, self.found.hangup = False, None
            return self.found
        for statement in tree.body:
            self._statement(statement)
        for name, value in self._names.items():
            place = Place(self._shown, self._lines.get(name, 0))
            self.found.settings.setdefault(name, Value(value.value, place, value.assumed))
        return self.found

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, evaluate(node.value, self._names, self._environment), node.lineno)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._bind(node.target, evaluate(node.value, self._names, self._environment), node.lineno)
        elif isinstance(node, ast.AugAssign):
            self._bind(node.target, Evaluated(UNKNOWN), node.lineno)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._define(node.name, node.lineno)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._called(node.value)
        elif isinstance(node, (ast.If, ast.For, ast.While, ast.Try, ast.With)):
            self._depends(node)

    def _bind(self, target: ast.AST, value: Evaluated, line: int) -> None:
        if isinstance(target, ast.Name):
            self._names[target.id] = value
            self._lines[target.id] = line
            self.found.settings.pop(target.id, None)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._bind(part, Evaluated(UNKNOWN), line)

    def _define(self, name: str, line: int) -> None:
        self._bind(ast.Name(name), Evaluated(UNKNOWN), line)
        if name in _NEEDED and self.found.hangup:
            self.found.lost_hook = Value(name, Place(self._shown, line))
            if name == "on_starting":
                self.found.hangup = False

    def _import(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._aliases[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
            return
        assert isinstance(node, ast.ImportFrom)
        module = node.module or ""
        for alias in node.names:
            if alias.name != "*":
                self._aliases[alias.asname or alias.name] = f"{module}.{alias.name}"
                if module == OURS and alias.name == "on_starting":
                    self.found.hangup = True
            elif module == OURS:
                self.found.hangup, self.found.lost_hook = True, None
            else:
                self._take_all_of(module, node.level)

    def _take_all_of(self, module: str, level: int) -> None:
        name = module.replace(".", "/") + ".py"
        path = find(name, self._folder, self._root) if module and not level else None
        if path is None or self._depth >= _DEEPEST:
            self.found.is_complete = False
            self.found.hangup = self.found.hangup or None
            return
        shown = name_of(path)
        reader = _Reader(shown, os.path.dirname(path), self._root, self._environment, self._depth + 1)
        try:
            other = reader.read(read(path))
        except Unreadable:
            self.found.is_complete = False
            return
        self._names.update(reader._names)
        self.found.settings.update(other.settings)
        self.found.is_complete &= other.is_complete
        self.found.hangup = self.found.hangup or other.hangup
        self.found.lost_hook = self.found.lost_hook or other.lost_hook

    def _called(self, call: ast.Call) -> None:
        name = dotted(call.func)
        head, _, tail = name.partition(".")
        full = ".".join(filter(None, [self._aliases.get(head, head), tail]))
        if full == f"{OURS}.install":
            self.found.hangup, self.found.lost_hook = True, None

    def _depends(self, node: ast.stmt) -> None:
        """What is bound in one of its branches may be bound, or not."""
        for part in ast.walk(node):
            if isinstance(part, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
                for target in part.targets if isinstance(part, ast.Assign) else [part.target]:
                    self._bind(target, Evaluated(UNKNOWN), part.lineno)
            elif isinstance(part, ast.ImportFrom) and any(alias.name == "*" for alias in part.names):
                if part.module == OURS:
                    self.found.hangup = self.found.hangup or None
                else:
                    self.found.is_complete = False
            elif isinstance(part, ast.Import):
                self._import(part)
            elif isinstance(part, ast.Call) and dotted(part.func).endswith("install"):
                self.found.hangup = self.found.hangup or None
