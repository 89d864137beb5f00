"""A Django project of the capture in one file: WSGI, ASGI, and manage.py."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import django
import recorder
import scenes
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    DEBUG=False,
    LOGGING_CONFIG=None,  # what nobody handles is printed
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    WSGI_APPLICATION=f"{__name__}.application",
    DATABASES={},
    FILE_UPLOAD_MAX_MEMORY_SIZE=1 << 24,
    DATA_UPLOAD_MAX_MEMORY_SIZE=1 << 24,
)
django.setup()


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.POST)))


def endless(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    scenes.hurry()
    return StreamingHttpResponse(pieces())


def fail(request: HttpRequest, name: str) -> HttpResponse:
    scenes.BUGS[name]()
    return HttpResponse("fine")


urlpatterns = [
    path("upload", upload),
    path("form", form),
    path("endless", endless),
    path("fail/<name>", fail),
]
logging.getLogger("django.server").setLevel("INFO")  # as Django sets it
application = get_wsgi_application()
asgi = get_asgi_application()
recorder.start()

if __name__ == "__main__":
    from django.core.servers.basehttp import WSGIServer, run

    sys.modules["django_app"] = sys.modules["__main__"]
    settings.ROOT_URLCONF = "django_app"
    run("127.0.0.1", 0, application, threading=True, server_cls=WSGIServer)
