"""gunicorn's configuration hooks. Three equal ways in:

* ``gunicorn -c python:hangup.gunicorn app:app``, for those without a configuration file;
* ``from hangup.gunicorn import *`` in ``gunicorn.conf.py``;
* ``hangup.gunicorn.install(globals())`` at its end, for those with ``on_starting`` or ``on_reload`` hooks of
  their own: it chains them. (A hook that is defined after the star import replaces ours, and is all
  that gunicorn sees.)

Promised
    The worker class that was chosen, by whatever means, is kept and extended; see ``docs/model.md`` for how.
    An unknown gunicorn or worker is served stock, with one WARNING and the reason in ``hangup.status()``.
    ``HANGUP=off`` changes nothing at all.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from ._gunicorn.websockets import reloaded
from ._install import guard_gunicorn
from ._install import install as _install_filter

__all__ = ["on_reload", "on_starting"]

_install_filter()


def on_starting(server: Any) -> None:
    """gunicorn's hook, in the master, before the first worker."""
    guard_gunicorn(server)


def on_reload(server: Any) -> None:
    """gunicorn's hook, in the master, after a HUP has set the worker class anew."""
    guard_gunicorn(server)
    reloaded()


def install(configuration: dict[str, Any]) -> None:
    """Adds the hooks to the names of a configuration file, chaining the ones that are there.

    Args:
        configuration: ``globals()`` of ``gunicorn.conf.py``.
    """
    for ours in (on_starting, on_reload):
        configuration[ours.__name__] = _chained(ours, configuration.get(ours.__name__))


def _chained(ours: Callable[[Any], None], theirs: Optional[Callable[[Any], None]]) -> Callable[[Any], None]:
    if theirs is None or theirs is ours or getattr(theirs, "_guards", False):
        return theirs or ours

    def chained(server: Any) -> None:
        theirs(server)
        ours(server)  # last: theirs may choose the worker class

    chained._guards = True  # type: ignore[attr-defined]
    return chained
