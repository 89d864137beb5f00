"""Plain WSGI: a download through ``wsgi.file_wrapper``, and the counters."""

from __future__ import annotations

import json
import os

import hangup


def app(environ, start_response):
    """``/download`` is this file; ``/hangup`` is what is guarded, and what was counted."""
    if environ["PATH_INFO"] == "/download":
        start_response("200 OK", [("Content-Length", str(os.path.getsize(__file__)))])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    body = json.dumps({"status": hangup.status(), "stats": hangup.stats()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
