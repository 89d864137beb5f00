"""gunicorn's configuration hooks. Three equal ways in:

* ``gunicorn -c python:hangup.gunicorn app:app``, for those without a configuration file;
* ``from hangup.gunicorn import *`` in ``gunicorn.conf.py``;
* ``hangup.gunicorn.install(globals())`` at its end, for those with hooks of their own: it chains them. (A hook that
  is defined after the star import replaces ours, and is all that gunicorn sees.)

Promised
    The worker class that was chosen, by whatever means, is kept and extended; see ``docs/model.md`` for how.
    An unknown gunicorn or worker is served stock, with one WARNING and the reason in ``hangup.status()``.
    Counters are the family's: what a worker counted stays in the totals when it is gone, however it went.
    ``HANGUP=off`` changes nothing at all.

How
    Without ``on_starting`` there is no family, and nothing is guarded. Without ``post_fork`` a worker joins with its
    first descriptor; without ``child_exit`` its slot is free again once a reader or a new worker finds it dead.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any, Callable, Optional

from . import _connection_limit, _endpoints, _hangup, _routes, _siblings
from ._control import server as control
from ._gunicorn.websockets import reloaded
from ._install import attach, guard_gunicorn, keep_beside, tell_workers_of_the_end
from ._mode import OFF, ON, mode
from ._siblings import departure

__all__ = [
    "child_exit",
    "on_reload",
    "on_starting",
    "post_fork",
    "post_request",
    "post_worker_init",
    "pre_request",
    "when_ready",
]

attach()
#: Asked once: before each request it would cost more than what it is asked for.
_mode_here = functools.cache(mode)

#: Where ``/metrics`` is served: see :mod:`hangup.ops`.
METRICS = "HANGUP_METRICS"


def on_starting(server: Any) -> None:
    """gunicorn's hook, in the master, before the first worker."""
    if mode() == ON:
        _hangup.found_family()
        _siblings.found()
    try:
        _connection_limit.configure()
        departure.is_wanted(server.cfg.workers)
    except ValueError as error:
        raise SystemExit(f"hangup: {error}") from None
    guard_gunicorn(server)
    tell_workers_of_the_end(server)


def on_reload(server: Any) -> None:
    """gunicorn's hook, in the master, after a HUP has set the worker class anew."""
    try:
        _connection_limit.configure()
    except ValueError as error:
        server.log.error("hangup: the connection limit stays as it was: %s", error)
    guard_gunicorn(server)
    reloaded()


def when_ready(server: Any) -> None:
    """gunicorn's hook, in the master, when it listens."""
    address = os.environ.get(METRICS, "")
    if address and mode() == ON:
        from .ops import Beside

        keep_beside(server, Beside(address))
        server.log.info("hangup: /metrics, /livez and /readyz at %s", address)


def post_fork(server: Any, _worker: Any) -> None:
    """gunicorn's hook, in a worker, before it has an application."""
    reason = _hangup.join_family() if mode() == ON else None
    if reason:
        server.log.warning("hangup: worker %d counts for itself alone: %s", os.getpid(), reason)


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook, in a worker that has its application."""
    _hangup.announce(True)
    reason = control.start(worker)
    if reason and mode() != OFF:
        worker.log.warning("hangup: %s", reason)


def child_exit(_server: Any, worker: Any) -> None:
    """gunicorn's hook, in the master, when a worker is gone."""
    _hangup.retire(worker.pid)


def pre_request(_worker: Any, req: Any) -> None:
    """gunicorn's hook, in the worker, before each request."""
    if _mode_here() == ON:
        _endpoints.tracker().begin(id(req))


def post_request(_worker: Any, req: Any, environ: Optional[dict[str, Any]], _resp: Any) -> None:
    """gunicorn's hook, in the worker, after each request: whose requests leave descriptors behind."""
    if _mode_here() == ON:
        known = {"REQUEST_METHOD": req.method, "PATH_INFO": req.path} if environ is None else environ
        _endpoints.tracker().end(id(req), _routes.name_of(known))


def install(
    configuration: dict[str, Any],
    metrics: Optional[str] = None,
    connection_limit: Optional[str] = None,
    trusted_proxies: Optional[str] = None,
    handover: Optional[str] = None,
) -> None:
    """Adds the hooks to the names of a configuration file, chaining the ones that are there.

    Args:
        configuration: ``globals()`` of ``gunicorn.conf.py``.
        metrics: where to serve ``/metrics``, ``/livez`` and ``/readyz``: ``"127.0.0.1:9117"``,
            ``"unix:/run/hangup.sock"``; else where the environment variable ``HANGUP_METRICS`` says, else nowhere.
        connection_limit: how many WebSockets and Socket.IO sessions a client may begin: ``"10/s,burst=20"``; else what
            ``HANGUP_CONNECTION_LIMIT`` says, else as many as it likes.
        trusted_proxies: who is believed when it names its client: ``"10.0.0.0/8,unix"``; else what
            ``HANGUP_TRUSTED_PROXIES`` says, else who is on this machine.
        handover: with ``"on"`` Socket.IO's clients of a worker that leaves go on in another one, and notice nothing;
            with ``"off"`` they come back by themselves; else what ``HANGUP_HANDOVER`` says, else ``"on"`` if there
            are several workers.
    """
    told = {
        METRICS: metrics,
        _connection_limit.LIMIT: connection_limit,
        _connection_limit.PROXIES: trusted_proxies,
        departure.SWITCH: handover,
    }
    os.environ.update({name: value for name, value in told.items() if value is not None})
    for name in __all__:
        configuration[name] = _chained(globals()[name], configuration.get(name))


def _chained(ours: Callable[..., None], theirs: Optional[Callable[..., None]]) -> Callable[..., None]:
    if theirs is None or theirs is ours or getattr(theirs, "_guards", False):
        return theirs or ours

    # gunicorn leaves out what a post_request does not take
    parameters = inspect.signature(theirs).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    positional = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    wanted = None if takes_all else len(positional)

    @functools.wraps(ours)  # gunicorn counts the parameters
    def chained(*args: Any) -> None:
        try:
            theirs(*args[:wanted])
        finally:
            ours(*args)  # last: theirs may choose the worker class

    chained._guards = True  # type: ignore[attr-defined]
    return chained
