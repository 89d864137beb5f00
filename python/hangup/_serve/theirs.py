"""Somebody's gunicorn configuration, run as gunicorn does."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from typing import Any


def names_of(where: str) -> dict[str, Any]:
    """What a configuration defines.

    Args:
        where: as after gunicorn's ``-c``: a path, ``file:path`` or ``python:module``.
    """
    if where.startswith("python:"):
        found = vars(importlib.import_module(where[len("python:") :]))
    else:
        path = where[len("file:") :] if where.startswith("file:") else where
        loader = importlib.machinery.SourceFileLoader("__config__", path)  # its name may end with anything
        spec = importlib.util.spec_from_loader("__config__", loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["__config__"] = module  # as gunicorn: what it defines can find itself
        loader.exec_module(module)
        found = vars(module)
    return {name: value for name, value in found.items() if not name.startswith("__")}
