"""Django's settings, without Django: the module that ``manage.py``, ``asgi.py`` or ``wsgi.py`` names, parsed."""

from __future__ import annotations

import ast
import os
import re
from typing import Optional

from ..facts import Django, Facts
from ..values import UNKNOWN, Place, Value
from .expressions import Evaluated, dotted, evaluate, parse
from .files import Unreadable, read
from .files import shown as name_of

_NAMED = re.compile(
    r"DJANGO_SETTINGS_MODULE[\"']\s*,\s*[\"']([\w.]+)[\"']|DJANGO_SETTINGS_MODULE[\"']\]\s*=\s*[\"']([\w.]+)"
)
#: Settings whose values may be computed in part.
_WANTED = (
    "ASGI_APPLICATION", "ATOMIC_REQUESTS", "CHANNEL_LAYERS", "DATABASES", "HANGUP", "INSTALLED_APPS", "MIDDLEWARE",
)  # fmt: skip
_DEEPEST = 4


def settings_module(text: str) -> Optional[str]:
    """What a start module names."""
    match = _NAMED.search(text)
    return (match[1] or match[2]) if match else None


def read_settings(module: str, folder: str, facts: Facts) -> Optional[Django]:
    """The settings of a module below a folder; None, and a notice, if it is not there."""
    path = _path(module, folder)
    if path is None:
        facts.notice(f"the settings {module} are not here", Place(name_of(folder)))
        return None
    shown = name_of(path)
    names: dict[str, Evaluated] = {}
    places: dict[str, Place] = {}
    _read(path, folder, names, places, facts, 0)
    found = {
        name: Value(names[name].value, places[name], names[name].assumed) for name in _WANTED if name in names
    }
    return Django(Place(shown), found)


def _path(module: str, folder: str) -> Optional[str]:
    base = os.path.join(folder, *module.split("."))
    return next((path for path in (f"{base}.py", f"{base}/__init__.py") if os.path.isfile(path)), None)


def _read(
    path: str, folder: str, names: dict[str, Evaluated], places: dict[str, Place], facts: Facts, depth: int
) -> None:
    shown = name_of(path)
    try:
        tree = parse(read(path))
    except Unreadable as error:
        facts.notice(f"cannot be read: {error}", Place(shown), "HUP600")
        return
    except SyntaxError as error:
        facts.notice(f"cannot be read: {error.msg or error}", Place(shown, error.lineno or 0), "HUP600")
        return
    module = os.path.relpath(path, folder)[: -len(".py")].replace(os.sep, ".")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            package = module.split(".")[: -node.level] if node.level else []
            named = ".".join([*package, node.module or ""]).strip(".")
            other = _path(named, folder)
            if other and depth < _DEEPEST:
                _read(other, folder, names, places, facts, depth + 1)
        else:
            _bind(node, shown, names, places)


def _bind(node: ast.stmt, shown: str, names: dict[str, Evaluated], places: dict[str, Place]) -> None:
    def bind(name: str, value: Evaluated, line: int) -> None:
        names[name] = value
        places[name] = Place(shown, line)

    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            name = dotted(target)
            if name:
                bind(name, evaluate(node.value, names, {}), node.lineno)
            elif isinstance(target, ast.Subscript) and dotted(target.value):  # one key of a dict
                bind(dotted(target.value), Evaluated(UNKNOWN), node.lineno)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        before = names.get(node.target.id, Evaluated(UNKNOWN)).value
        more = evaluate(node.value, names, {}).value
        both = isinstance(before, list) and isinstance(more, list)
        bind(node.target.id, Evaluated(before + more if both else UNKNOWN), node.lineno)
    elif isinstance(node, (ast.If, ast.For, ast.While, ast.Try, ast.With)):
        for part in ast.walk(node):
            if isinstance(part, (ast.Assign, ast.AugAssign)):
                targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                for target in targets:
                    name = dotted(target.value if isinstance(target, ast.Subscript) else target)
                    if name:
                        bind(name, Evaluated(UNKNOWN), part.lineno)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        method = dotted(node.value.func)
        name, _, called = method.rpartition(".")
        if called in ("append", "insert", "extend", "remove", "update") and name in names:
            bind(name, Evaluated(UNKNOWN), node.lineno)
