"""Imports an application in a process of its own, and tells what it saw. Run as a program, with two arguments.

The application may print, log, start threads or not end: what was seen goes through a descriptor of its own, and the
process ends at once after that.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
from typing import Any


def look(app: str) -> dict[str, Any]:
    """What an application is; with ``app`` empty, what Django's settings are."""
    seen: dict[str, Any] = {"kind": ""}
    if app:
        from .loading import loaded

        seen["kind"] = kind_of(loaded(app))
    else:
        import django

        django.setup()
    if "django" in sys.modules:
        seen.update(_django())
    return seen


def kind_of(application: Any) -> str:
    """``"asgi"``, ``"wsgi"``, or empty for what cannot be called, or does not say."""
    if not callable(application):
        return ""
    if inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(type(application).__call__):
        return "asgi"
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return ""
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    return {2: "wsgi", 3: "asgi"}.get(len(required), "")


def _django() -> dict[str, Any]:
    from django.apps import apps
    from django.conf import settings

    if not settings.configured or not apps.ready:
        return {}
    databases = {}
    for name, database in settings.DATABASES.items():
        # Others may be far away; and to look into one that is not there would make it.
        if str(database.get("ENGINE", "")).endswith("sqlite3") and os.path.exists(
            str(database.get("NAME", ""))
        ):
            databases[name] = _unapplied(name)
    return {
        "settings": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "debug": bool(settings.DEBUG),
        "hangup": apps.is_installed("hangup.django"),
        "migrations": {name: count for name, count in databases.items() if count},
    }


def _unapplied(name: str) -> int:
    from django.db import DatabaseError, connections
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connections[name])
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return 0


def main() -> None:
    """Tells in JSON through the descriptor that is named last."""
    app, told = sys.argv[1], int(sys.argv[2])
    sys.path.insert(0, os.getcwd())
    try:
        seen = look(app)
    except BaseException as error:  # whatever an application raises is what is asked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error) or "no reason given"
        seen = {"error": f"{type(error).__name__}: {said}", "at": f"{last.filename}:{last.lineno}",
                "missing": getattr(error, "name", "") if isinstance(error, ModuleNotFoundError) else ""}  # fmt: skip
    os.write(told, json.dumps(seen).encode()[:60_000])
    os._exit(0)  # threads of the application's would go on


if __name__ == "__main__":
    main()
