"""A Django project in one file, for WSGI and ASGI servers. What its views saw, and what was logged, is in its log."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
import hangup
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path


class Shouting:
    """Synchronous middleware that wraps what is streamed, as Django documents it."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        response = self._get_response(request)
        if response.streaming:
            response.streaming_content = (piece.upper() for piece in response.streaming_content)
        return response


settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={},
    DEBUG=False,
    HANGUP=json.loads(os.environ.get("SITE_HANGUP", "{}")),
    ASGI_APPLICATION=f"{__name__}.application",
    INSTALLED_APPS=[*filter(None, [os.environ.get("SITE_SERVER")]), "hangup.django"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[
        *filter(None, [os.environ.get("SITE_MIDDLEWARE")]),
        "django.middleware.common.CommonMiddleware",
        "hangup.django.DisconnectMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
)
logging.basicConfig(level="DEBUG", format="LOG %(levelname)s %(name)s %(message)s", force=True)
django.setup()

_UNTIL = 10.0
_BIG = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
_BIG.truncate(64 << 20)


def happened(request: HttpRequest, what: str) -> None:
    """Says so with the time, which is that of all processes."""
    logging.getLogger("site").info("EVENT %s %s %s", request.path, what, time.monotonic())


def facts(request: HttpRequest) -> JsonResponse:
    """What this process counted."""
    return JsonResponse({"counted": hangup.stats(), "status": hangup.status()})


def plain(request: Any) -> HttpResponse:
    """Polls whether its client is there."""
    happened(request, "began")
    until = time.monotonic() + _UNTIL
    while time.monotonic() < until:
        if request.hangup.gone:
            happened(request, "gone")
            break
        time.sleep(0.005)
    return HttpResponse("long computed")


async def waits(request: Any) -> HttpResponse:
    """Waits until it is told."""
    happened(request, "began")
    waiting = asyncio.ensure_future(request.hangup.wait_gone())
    try:
        await asyncio.wait({waiting}, timeout=_UNTIL)
    finally:  # Django cancels its views under ASGI
        if request.hangup.gone:
            happened(request, "gone")
        waiting.cancel()
    return HttpResponse("long awaited")


def stream(request: Any) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
        finally:
            happened(request, "closed")

    return StreamingHttpResponse(pieces())


def few_pieces(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter("abcdefghijklmnopqrstuvwxyz"))


def sized_pieces(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter("abcdefghij"), headers={"Content-Length": "10"})


def sse(request: Any) -> StreamingHttpResponse:
    def sent() -> Iterator[str]:
        try:
            while True:
                yield "data: tick\n\n"
                time.sleep(0.02)
        finally:
            happened(request, "closed")

    return StreamingHttpResponse(sent(), content_type="text/event-stream")


async def asynchronous_sse(request: Any) -> StreamingHttpResponse:
    async def sent() -> AsyncIterator[str]:
        try:
            yield "data: tick\n\n"
            await asyncio.sleep(_UNTIL)
        finally:
            happened(request, "closed")

    return StreamingHttpResponse(sent(), content_type="text/event-stream")


def big_file(request: HttpRequest) -> FileResponse:
    class File:
        """Tells when it is closed."""

        def __init__(self) -> None:
            self._file = os.fdopen(os.open(f"/proc/self/fd/{_BIG.fileno()}", os.O_RDONLY), "rb")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def close(self) -> None:
            happened(request, "closed")
            self._file.close()

    return FileResponse(File(), content_type="application/octet-stream")


def source(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


def upload(request: HttpRequest) -> JsonResponse:
    happened(request, "began")
    return JsonResponse({"received": len(request.body)})


def form(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"received": len(request.POST)})


def database(request: HttpRequest) -> JsonResponse:
    """The database goes away, as seen by its driver."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"SELECT 1")
        theirs.close()  # with the question unread: a reset
        rows = ours.recv(1)
        if not rows:  # so says eventlet
            raise ConnectionResetError(errno.ECONNRESET, "lost connection to the database")
        return JsonResponse({"rows": rows.decode()})


def upstream(request: HttpRequest) -> JsonResponse:
    """The same over a socket that hangup guards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = hangup.SafeSocket(socket.create_connection(server.getsockname()))
        theirs, _ = server.accept()
    with ours:
        ours.sendall(b"GET /")
        while not theirs.recv(1, socket.MSG_PEEK):
            pass
        theirs.close()
        return JsonResponse({"rows": ours.recv(1).decode()})


urlpatterns = [
    path("facts", facts),
    path("plain", plain),
    path("waits", waits),
    path("stream", stream),
    path("pieces", few_pieces),
    path("sized-pieces", sized_pieces),
    path("sse", sse),
    path("asynchronous-sse", asynchronous_sse),
    path("file", big_file),
    path("source", source),
    path("upload", upload),
    path("form", form),
    path("database", database),
    path("upstream", upstream),
]
is_wsgi = os.environ.get("CAPTURED_STACK", "").startswith("gunicorn")
application: Any = get_wsgi_application() if is_wsgi else get_asgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
