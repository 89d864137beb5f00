"""The application that a folder serves: as a server's configuration says, or the likeliest of what there is."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional, Union

from .sources import Source, text_of
from .syntax import assigned, called, imported, literal

APPLICATION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?", re.ASCII)

#: What makes an application, by the name that is called: its framework and whether it is ASGI.
MAKERS = {
    "Flask": ("flask", False),
    "APIFlask": ("flask", False),
    "FastAPI": ("asgi", True),
    "Starlette": ("asgi", True),
    "Quart": ("asgi", True),
    "WSGIApp": ("wsgi", False),  # python-socketio's
    "ASGIApp": ("asgi", True),
}
FACTORIES = ("create_app", "make_app")
USUAL_MODULES = ("wsgi", "app", "application", "main", "server", "run")
SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn", "granian")
ASGI_SERVERS = {"uvicorn", "daphne", "hypercorn"}


class Candidate(NamedTuple):
    """An application.

    Attributes:
        rank: the lowest is the likeliest.
        app: ``module:name``.
        framework: ``"flask"``, ``"wsgi"`` or ``"asgi"``.
        is_asgi: which kind it is.
        path: where it was found.
    """

    rank: tuple[int, int, int, str]
    app: str
    framework: str
    is_asgi: bool
    path: Path


def find(directory: Path, sources: list[Source]) -> Optional[Candidate]:
    """None if there is none."""
    found = sorted(_candidates(sources))
    named = _configured(sources) or _procfile(directory)
    if named is None:
        return found[0] if found else None
    server, app, where = named
    is_asgi = server in ASGI_SERVERS
    usual = Candidate((0, 0, 0, ""), app, "asgi" if is_asgi else "wsgi", is_asgi, Path(where))
    return next((one._replace(path=Path(where)) for one in found if one.app == app), usual)


def _candidates(sources: list[Source]) -> Iterator[Candidate]:
    for source in sources:
        module = source.module
        parts = module.split(".")
        if not all(part.isidentifier() for part in parts) or {"tests", "test", "conftest"} & set(parts):
            continue
        usual = USUAL_MODULES.index(parts[-1]) if parts[-1] in USUAL_MODULES else len(USUAL_MODULES)
        flask = "flask" in imported(source.tree)
        for name, framework, is_asgi, wrapped in _made(source.tree, flask):
            common = ("app", "application").index(name) if name in {"app", "application"} else 2
            rank = (0 if wrapped else 1, usual, common + 3 * name.endswith(")"), module)
            yield Candidate(rank, f"{module}:{name}", framework, is_asgi, source.path)


def _made(tree: ast.Module, flask: bool) -> Iterator[tuple[str, str, bool, bool]]:
    for name, value in assigned(tree):
        maker = called(value)
        if maker in MAKERS:
            framework, is_asgi = MAKERS[maker]
            yield name, framework, is_asgi, maker in {"WSGIApp", "ASGIApp"}
        elif maker in FACTORIES:
            yield name, "flask", False, False
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name in FACTORIES
            and flask
            and not _required(node.args)
        ):
            yield f"{node.name}()", "flask", False, False


def _required(arguments: ast.arguments) -> bool:
    positional: list[Union[ast.arg, ast.expr]] = [*arguments.posonlyargs, *arguments.args]
    return len(positional) > len(arguments.defaults) or None in arguments.kw_defaults


def _configured(sources: list[Source]) -> Optional[tuple[str, str, str]]:
    for source in sources:
        if source.path == Path("gunicorn.conf.py"):
            app = dict(assigned(source.tree)).get("wsgi_app")
            if isinstance(literal(app), str):
                return "gunicorn", str(literal(app)), str(source.path)
    return None


def _procfile(directory: Path) -> Optional[tuple[str, str, str]]:
    for line in (text_of(directory / "Procfile") or "").splitlines():
        kind, _, command = line.partition(":")
        if kind.strip() != "web":
            continue
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        server = next((word for word in words if word in SERVERS), "")
        app = next((word for word in words if APPLICATION.fullmatch(word)), "")
        if server and app:
            return server, app, "Procfile"
    return None
