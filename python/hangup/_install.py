"""The one module that sets attributes of other people's objects. Idempotent, reversible, and it says why not."""

from __future__ import annotations

from typing import Any

from . import _mode, _status, logfilter


def install() -> dict[str, Any]:
    """Attaches the log filter, as ``HANGUP`` says; what hangup does in a server, its own module does.

    Returns:
        :func:`hangup.status`.
    """
    mode = _mode.mode()
    if mode == _mode.OFF:
        uninstall()
    else:
        logfilter.install("demote" if mode == _mode.ON else "count")
    return _status.status()


def uninstall() -> None:
    """Takes back what :func:`install` did."""
    logfilter.uninstall()


def guard_gunicorn(server: Any) -> None:
    """Makes gunicorn's arbiter start guarded workers, if its version and worker class are known.

    Args:
        server: the ``Arbiter``, in its ``on_starting`` or ``on_reload`` hook, before workers are forked.
    """
    import gunicorn

    from ._gunicorn.support import judge
    from ._gunicorn.worker import GuardedWorker, guarded_class

    mode = _mode.mode()
    worker = server.worker_class
    facts = {"version": gunicorn.__version__, "worker": f"{worker.__module__}.{worker.__qualname__}"}
    if mode != _mode.ON:
        _status.record("gunicorn", state="off", reason=f"HANGUP={mode}", **facts)
        return
    if issubclass(worker, GuardedWorker):
        return
    verdict = judge(gunicorn.__version__, worker)
    if not verdict.guarded:
        _status.record("gunicorn", state="stock", reason=verdict.reason, **facts)
        say = server.log.info if verdict.known else server.log.warning
        say("hangup: workers are served stock: %s", verdict.reason)
        return
    server.worker_class = guarded_class(worker, verdict.base)
    tls = "stock: TLS connections are not guarded" if server.cfg.is_ssl else "not in use"
    _status.record("gunicorn", state="on", reason="", tls=tls, **facts)
    server.log.info("hangup: guarding the connections of %s", facts["worker"])
    if server.cfg.is_ssl:
        server.log.warning("hangup: TLS listeners: connections are served stock")
