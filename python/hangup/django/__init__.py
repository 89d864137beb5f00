"""Django: requests whose clients leave::

    INSTALLED_APPS += ["hangup.django"]
    MIDDLEWARE += ["hangup.django.DisconnectMiddleware"]      # at the end: checked by hangup.E001
    HANGUP = {"LOG": "demote"}                                # optional

Promised
    Clients that leave are answered 499, counted and said at DEBUG; an ``OSError`` of a database, a cache, a file or an
    upstream stays what it was. ``request.hangup.gone`` and ``await request.hangup.wait_gone()`` tell a view that
    its client left; responses that stream are closed when it does. See ``docs/django.md``.

How
    ``middleware`` is the middleware, ``pieces`` what becomes of streams and uploads, ``conf`` the setting, ``checks``
    the system checks, ``management`` the command, ``health`` the plug-in of django-health-check. What the client is,
    and whether it is there: :mod:`hangup._client`; whose error it was: the log filter's judge.

Importing this imports nothing of Django, nor does it need it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .middleware import DisconnectMiddleware

__all__ = ["DisconnectMiddleware"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Loads the middleware: Django asks for it by name, when its settings are there."""
        if name == "DisconnectMiddleware":
            from .middleware import DisconnectMiddleware

            return DisconnectMiddleware
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
