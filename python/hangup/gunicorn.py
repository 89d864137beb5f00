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

import functools
import inspect
from typing import Any, Callable, Optional

from . import _endpoints, _routes
from ._gunicorn.websockets import reloaded
from ._install import guard_gunicorn
from ._install import install as _install_filter
from ._mode import ON, mode

__all__ = ["on_reload", "on_starting", "post_request", "pre_request"]

_install_filter()
#: Asked once: before each request it would cost more than what it is asked for.
_mode_here = functools.cache(mode)


def on_starting(server: Any) -> None:
    """gunicorn's hook, in the master, before the first worker."""
    guard_gunicorn(server)


def on_reload(server: Any) -> None:
    """gunicorn's hook, in the master, after a HUP has set the worker class anew."""
    guard_gunicorn(server)
    reloaded()


def pre_request(_worker: Any, req: Any) -> None:
    """gunicorn's hook, in the worker, before each request."""
    if _mode_here() == ON:
        _endpoints.tracker().begin(id(req))


def post_request(_worker: Any, req: Any, environ: dict[str, Any], _resp: Any) -> None:
    """gunicorn's hook, in the worker, after each request: whose requests leave descriptors behind."""
    if _mode_here() == ON:
        _endpoints.tracker().end(id(req), _routes.name_of(environ))


def install(configuration: dict[str, Any]) -> None:
    """Adds the hooks to the names of a configuration file, chaining the ones that are there.

    Args:
        configuration: ``globals()`` of ``gunicorn.conf.py``.
    """
    for ours in (on_starting, on_reload, pre_request, post_request):
        configuration[ours.__name__] = _chained(ours, configuration.get(ours.__name__))


def _chained(ours: Callable[..., None], theirs: Optional[Callable[..., None]]) -> Callable[..., None]:
    if theirs is None or theirs is ours or getattr(theirs, "_guards", False):
        return theirs or ours

    wanted = len(
        inspect.signature(theirs).parameters
    )  # gunicorn leaves out what a post_request does not take

    @functools.wraps(ours)  # gunicorn counts the parameters
    def chained(*args: Any) -> None:
        try:
            theirs(*args[:wanted])
        finally:
            ours(*args)  # last: theirs may choose the worker class

    chained._guards = True  # type: ignore[attr-defined]
    return chained
