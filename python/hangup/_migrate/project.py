"""A folder that is deployed on eventlet, as a whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from .._init.sources import LARGEST, MOST_FILES, MOST_TEXT, Source, parse, texts
from .._init.syntax import called, literal
from . import requirements
from .deployment import Start, bind_of, is_deployment, rewritten
from .findings import Change, Finding
from .scope import Scope
from .source import Rewriter
from .state import shared_state

#: What a module that has to do with it has in its text.
ABOUT = re.compile(r"eventlet|socketio|SocketIO|async_mode|\bdns\b", re.IGNORECASE)


class Migration(NamedTuple):
    """What has to be done.

    Attributes:
        changes: what can be done at once.
        findings: what a person has to do.
        found: whether there is anything of eventlet here.
    """

    changes: list[Change]
    findings: list[Finding]
    found: bool


def migration(folder: Path) -> Migration:
    """Reads a folder."""
    found, unread = _texts(folder)
    if not unread and not any("eventlet" in text.lower() for text in found.values()):
        return Migration([], [], False)
    sources = []
    for path, text in found.items():
        if path.suffix == ".py" and ABOUT.search(text):
            source = parse(path, text)
            sources += [source] if source else []
            if source is None and "eventlet" in text:
                unread.append(
                    Finding("blocker", path, 1, "has eventlet in it", "is not Python: change it by hand")
                )
    changes, findings = _of_sources(sources)
    more, others = _of_texts(found, sources, changes)
    findings = sorted(
        {*unread, *findings, *others}, key=lambda one: (one.kind, str(one.path), one.line, one.what)
    )
    return Migration(
        sorted([*changes, *more]), findings, bool(changes or more or unread or _blocks(findings))
    )


def _blocks(findings: list[Finding]) -> bool:
    return any(one.kind == "blocker" for one in findings)


def _texts(folder: Path) -> tuple[dict[Path, str], list[Finding]]:
    found, unread = {}, []
    count = size = 0
    for path, text in texts(folder, _is_wanted):
        count, size = count + 1, size + len(text)
        if text:
            found[path] = text
        elif _mentions(folder / path):
            unread.append(
                Finding(
                    "blocker", path, 1, "has eventlet in it", "is not UTF-8, or too large: change it by hand"
                )
            )
    if count >= MOST_FILES or size > MOST_TEXT - LARGEST:
        what = f"more than {count - 1} files"
        unread.append(
            Finding("blocker", Path(), 1, what, "not all were read: name the application's own folder")
        )
    return found, unread


def _is_wanted(path: Path) -> bool:
    return path.suffix == ".py" or requirements.is_list(path) or is_deployment(path)


def _mentions(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and b"eventlet" in file.read(LARGEST)
    except OSError:
        return False


def _of_sources(sources: list[Source]) -> tuple[list[Change], list[Finding]]:
    servers = frozenset(scope.server[0] for one in sources if (scope := Scope(one.tree)).server)
    changes, findings = [], []
    for source in sources:
        rewriter = Rewriter(source, servers)
        change = rewriter.change()
        changes += [change] if change else []
        findings += [*rewriter.findings, *shared_state(source)]
    return changes, findings


def _of_texts(
    found: dict[Path, str], sources: list[Source], changed: list[Change]
) -> tuple[list[Change], list[Finding]]:
    uses_dns = any(_imports(source, "dns") for source in sources)
    has_configuration = any(
        path.name == "gunicorn.conf.py" for path in [*found, *(one.path for one in changed)]
    )
    starts = [start for source in sources if (start := _start(source))]
    changes, findings = [], []
    for path, text in found.items():
        if path.suffix == ".py":
            continue
        if requirements.is_list(path):
            after = requirements.rewritten(text, uses_dns=uses_dns)
            findings += requirements.too_old(path, text)
        else:
            after = rewritten(path, text, has_configuration=has_configuration, starts=starts)
        changes += [Change(path, text, after)] if after != text else []
        findings += _left(path, after)
    return changes, findings


def _left(path: Path, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        before, _, comment = line.partition("#")
        if "eventlet" in before.lower():
            yield Finding("blocker", path, number, line.strip()[:200], "names eventlet: change it by hand")
        elif "eventlet" in comment.lower():
            yield Finding("hint", path, number, line.strip()[:200], "a comment that names eventlet")


def _imports(source: Source, package: str) -> bool:
    for node in ast.walk(source.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
        if any(name.split(".")[0] == package for name in names):
            return True
    return False


def _start(source: Source) -> Optional[Start]:
    """A module that serves itself when it is run as a script."""
    server = Scope(source.tree).server
    for node in ast.walk(source.tree):
        if not (server and isinstance(node, ast.Call) and called(node) == "run" and node.args):
            continue
        if ast.unparse(node.func) == f"{server[0]}.run" and isinstance(node.args[0], ast.Name):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            host, port = given.get("host"), given.get("port")
            from_environment = port is not None and "environ" in ast.unparse(port)
            bind = bind_of(literal(host), literal(port), is_environments=from_environment)
            return Start(str(source.path), f"{source.module}:{node.args[0].id}", bind)
    return None
