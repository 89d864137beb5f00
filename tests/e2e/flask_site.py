"""A Flask application of the tests of ``hangup.flask``: what its views saw is in its log."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Iterator

import hangup
import hangup.flask
from flask import Flask, Response, request, send_file

application = Flask(__name__)
hangup.flask.Hangup(application)


def happened(what: str) -> None:
    """Says so with the time, which is that of all processes."""
    sys.stderr.write(f"EVENT {request.path} {what} {time.monotonic()}\n")


@application.get("/facts")
def facts() -> dict[str, object]:
    return {"counted": hangup.stats()}


@application.get("/plain")
def plain() -> str:
    happened("began")
    until = time.monotonic() + 10
    while time.monotonic() < until and not hangup.flask.client_gone():
        time.sleep(0.005)
    happened("gone" if hangup.flask.client_gone() else "there")
    return "long computed"


@application.get("/stream")
def stream() -> Response:
    closed = f"EVENT {request.path} closed"

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
        finally:
            sys.stderr.write(f"{closed} {time.monotonic()}\n")

    return Response(pieces())


@application.get("/source")
def source() -> Response:
    return send_file(__file__)


@application.post("/upload")
def upload() -> dict[str, int]:
    return {"received": len(request.get_data())}


@application.get("/database")
def database() -> str:
    raise ConnectionResetError(errno.ECONNRESET, "lost connection to the database")


@application.get("/upstream")
def upstream() -> str:
    raise hangup.PeerGone(errno.ECONNRESET, "lost connection to the upstream")
