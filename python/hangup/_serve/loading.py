"""``module:name`` to what it names."""

from __future__ import annotations

import functools
import importlib
from typing import Any


def loaded(app: str) -> Any:
    """Imports an application; ``module:factory()`` is called.

    Raises:
        ImportError, AttributeError: there is no such thing; and whatever the module raises.
    """
    module, _, name = app.partition(":")
    found: Any = functools.reduce(getattr, name.replace("()", "").split("."), importlib.import_module(module))
    return found() if app.endswith("()") else found
