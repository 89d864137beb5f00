"""Serve an application of this directory and answer ``/_stats`` beside it.

Promised: the application runs unchanged, and finds gunicorn's worker object as ``demo.worker`` in its
environ; hangup is not imported by this module, only asked when something else has imported it. It is put in
front of every application here so that "stock" and "hangup" serve the same thing.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Worker: type = importlib.import_module("gunicorn.workers.base").Worker
_worker: Any = None


def load(name: str) -> WSGIApplication:
    """Return the application ``app`` of the module ``name``, with ``/_stats`` in front."""
    inner: WSGIApplication = importlib.import_module(name).app

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/_stats":
            environ["demo.worker"] = worker()
            return inner(environ, start_response)
        body = json.dumps(stats()).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def worker() -> Any:
    """Return this process's gunicorn worker, or None."""
    global _worker
    if _worker is None:
        # gunicorn hands the worker to nobody. Looked for once, on the first question, before any measuring.
        for thing in gc.get_objects():
            if issubclass(type(thing), _Worker) and thing.pid == os.getpid():
                _worker = thing
                break
    return _worker


def stats() -> dict[str, Any]:
    """Return what this worker process knows of its connections."""
    hangup = sys.modules.get("hangup")
    return {
        "pid": os.getpid(),
        "nr_conns": getattr(worker(), "nr_conns", None),
        "hangup": None if hangup is None else hangup.stats(),
    }
