"""A Django site of one view, with ``hangup.django`` and without. It has no other middleware, which would cost more."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path

_HELLO = b"Hello, world!\n"


def hello(_request: Any) -> HttpResponse:
    """A few bytes."""
    return HttpResponse(_HELLO)


async def hello_async(_request: Any) -> HttpResponse:
    """The same, without a thread."""
    return HttpResponse(_HELLO)


class _Wsgi:
    urlpatterns = (path("", hello),)


class _Asgi:
    urlpatterns = (path("", hello_async),)


def _set_up(urls: type, *, with_hangup: bool) -> None:
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["hangup.django"] if with_hangup else [],
        LOGGING_CONFIG=None,
        MIDDLEWARE=["hangup.django.DisconnectMiddleware"] if with_hangup else [],
        ROOT_URLCONF=urls,
        SECRET_KEY="of a benchmark",
    )
    django.setup()


def wsgi(*, with_hangup: bool = False) -> Any:
    """For gunicorn."""
    _set_up(_Wsgi, with_hangup=with_hangup)
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def wsgi_with_hangup() -> Any:
    """For gunicorn."""
    return wsgi(with_hangup=True)


def asgi(*, with_hangup: bool = False) -> Any:
    """For uvicorn."""
    _set_up(_Asgi, with_hangup=with_hangup)
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def asgi_with_hangup() -> Any:
    """For uvicorn."""
    return asgi(with_hangup=True)
