"""What a settings module or an application has to gain: its own source, with lines added and nothing else touched.

How
    The syntax tree says where; the text is changed there. What is there already is not added again.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Optional

from .files import File
from .plan import Refused, shown
from .project import ABOUT, Project
from .sources import Source, modules, parse, text_of
from .syntax import called

APP = "hangup.django"
MIDDLEWARE = "hangup.django.DisconnectMiddleware"


def change(target: str, project: Project) -> File:
    """The file of ``django`` or ``flask``, as it should be.

    Raises:
        Refused: there is no such application here, or it is put together in a way that is not understood.
    """
    path, text = _django(project) if target == "django" else _flask(project)
    if parse(path, text) is None:
        raise Refused(f"{shown(str(path))}: cannot be changed without breaking it")
    return File(target, project.directory / path, text)


def _django(project: Project) -> tuple[Path, str]:
    if not project.settings:
        raise Refused("no Django project here: no manage.py that names DJANGO_SETTINGS_MODULE")
    inside = Path(*project.settings.split("."))
    for path in (inside.with_suffix(".py"), inside / "__init__.py"):
        text = text_of(project.directory / path)
        source = parse(path, text) if text is not None else None
        if source is not None:
            break
    else:
        raise Refused(f"the settings {shown(project.settings)} are not in this folder")
    text = source.text
    for name, entry in (("INSTALLED_APPS", APP), ("MIDDLEWARE", MIDDLEWARE)):
        source = parse(path, text) or source
        if not any(isinstance(n, ast.Constant) and n.value == entry for n in ast.walk(source.tree)):
            text = _entered(source, name, entry)
    return path, text


def _entered(source: Source, name: str, entry: str) -> str:
    """With an entry more at the end of a list of the settings."""
    last: Optional[ast.stmt] = None
    for node in source.tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, (ast.AugAssign, ast.AnnAssign))
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            last = node
    newline = "\r\n" if "\r\n" in source.text else "\n"
    if last is None:
        addition = f'{name} = [*globals().get("{name}", ()), "{entry}"]{newline}'
        return source.text + ("" if source.text.endswith("\n") or not source.text else newline) + addition
    value = getattr(last, "value", None)
    if isinstance(value, (ast.List, ast.Tuple)) and value.elts and value.elts[-1].lineno > value.lineno:
        return _after_element(source, value.elts[-1], entry, newline)
    is_tuple = isinstance(value, ast.Tuple)
    entries = f'("{entry}",)' if is_tuple else f'["{entry}"]'
    return _after_statement(source, last, f"{name} += {entries}", newline)


def _after_element(source: Source, element: ast.expr, entry: str, newline: str) -> str:
    """On a line of its own, indented as the last one."""
    lines = source.text.splitlines(keepends=True)
    at = (element.end_lineno or element.lineno) - 1
    line = lines[at].encode()
    end = element.end_col_offset or 0
    before, after = line[:end].decode(), line[end:].decode()
    indent = " " * element.col_offset
    if after.lstrip().startswith((")", "]")):  # the bracket closes on the last element's line
        lines[at] = f'{before},{newline}{indent}"{entry}"{after}'
    else:
        comma = "" if after.lstrip().startswith(",") else ","
        lines[at] = f'{before}{comma}{after.rstrip()}{newline}{indent}"{entry}",{newline}'
    return "".join(lines)


def _after_statement(source: Source, node: ast.stmt, *added: str) -> str:
    *texts, newline = added
    lines = source.text.splitlines(keepends=True)
    at = (node.end_lineno or node.lineno) - 1
    if not lines[at].endswith(("\n", "\r")):
        lines[at] += newline
    indent = " " * node.col_offset
    lines[at] += "".join(f"{indent}{text}{newline}" for text in texts)
    return "".join(lines)


def _flask(project: Project) -> tuple[Path, str]:
    for source in modules(project.directory, ABOUT):
        if {"tests", "test"} & set(source.path.parts):
            continue
        found = _made(source.tree)
        if found is None:
            continue
        if "hangup.flask" in source.text:
            return source.path, source.text
        newline = "\r\n" if "\r\n" in source.text else "\n"
        made, name = found
        text = _after_statement(source, made, f"hangup.flask.Hangup({name})", newline)
        changed = parse(source.path, text)
        above = [
            node for node in source.tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom)) and (node.end_lineno or 0) < made.lineno
        ]  # fmt: skip
        if changed is None or not above:
            raise Refused(
                f"{shown(str(source.path))}: is not understood; add hangup.flask.Hangup({name}) to it"
            )
        return source.path, _after_statement(changed, above[-1], "import hangup.flask", newline)
    raise Refused("no Flask application here: no name = Flask(...)")


def _made(tree: ast.Module) -> Optional[tuple[ast.stmt, str]]:
    """The statement that makes the application, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and called(node.value) in {"Flask", "APIFlask"}:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                return node, target.id
    return None
