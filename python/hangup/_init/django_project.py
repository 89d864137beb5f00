"""A Django project: its settings, and the applications that they name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .sources import Source
from .syntax import assigned, called, literal


class DjangoProject(NamedTuple):
    """What was found.

    Attributes:
        settings: the module of the settings.
        wsgi, asgi: ``module:name`` of the applications, or empty.
        has_channels: whether Channels serves its WebSockets.
        reasons: where that was found.
    """

    settings: str
    wsgi: str
    asgi: str
    has_channels: bool
    reasons: tuple[str, ...]


def find(sources: list[Source]) -> Optional[DjangoProject]:
    """None if there is no project."""
    by_module = {source.module: source for source in sources}
    settings, where = _settings(by_module)
    if not settings:
        return None
    found: dict[str, str] = {}
    has_channels = False
    for source in _of_settings(settings, by_module):
        for name, value in assigned(source.tree):
            path = literal(value)
            if name in {"WSGI_APPLICATION", "ASGI_APPLICATION"} and isinstance(path, str) and "." in path:
                found.setdefault(name, ":".join(path.rsplit(".", 1)))
        constants = {node.value for node in ast.walk(source.tree) if isinstance(node, ast.Constant)}
        has_channels = has_channels or bool(constants & {"channels", "daphne"})
    package = settings.split(".")[0]
    for name, module in (("WSGI_APPLICATION", "wsgi"), ("ASGI_APPLICATION", "asgi")):
        if name not in found and f"{package}.{module}" in by_module:
            found[name] = f"{package}.{module}:application"
    wsgi, asgi = found.get("WSGI_APPLICATION", ""), found.get("ASGI_APPLICATION", "")
    reasons = (f"{where} names {settings}", *([f"{settings} has Channels"] if has_channels else []))
    return DjangoProject(settings, wsgi, asgi, has_channels and bool(asgi), reasons)


def _settings(by_module: dict[str, Source]) -> tuple[str, str]:
    """The settings module that ``manage.py``, or else another entrance, names, and where."""
    entrances = ["manage", *(name for name in by_module if name.split(".")[-1] in {"wsgi", "asgi"})]
    for entrance in entrances:
        for node in ast.walk(by_module[entrance].tree) if entrance in by_module else ():
            if called(node) == "setdefault" and isinstance(node, ast.Call) and len(node.args) == 2:
                key, value = literal(node.args[0]), literal(node.args[1])
                if key == "DJANGO_SETTINGS_MODULE" and isinstance(value, str):
                    return value, str(by_module[entrance].path)
    return "", ""


def _of_settings(settings: str, by_module: dict[str, Source]) -> Iterator[Source]:
    """The module itself first; then, if it is one of a package of settings, the others of that."""
    if settings in by_module:
        yield by_module[settings]
    package = settings.rpartition(".")[0]
    if package.split(".")[-1].startswith(("settings", "conf")) and "." in package:
        yield from (
            source
            for name, source in by_module.items()
            if name.startswith(f"{package}.") and name != settings
        )
