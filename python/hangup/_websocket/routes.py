"""Flask's routing of a Socket.IO connection's URL, once per connection instead of once per event.

Flask-SocketIO runs each event in a request context of its own, for which Flask binds its routes to the request and
matches its URL. All events of a native connection have the environ of one request, so both have one result.

Not promised
    A route, or a ``SERVER_NAME``, that comes while a client is connected is not seen by its handlers' ``url_for``.
    An application with a ``create_url_adapter`` of its own is left alone.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional

#: Where a connection's adapter is kept: in its environ, which lives as long as it does.
KEY = "hangup.url_adapter"


def remembering(stock: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Stands in for ``flask.Flask.create_url_adapter`` of one application."""

    @functools.wraps(stock)
    def create_url_adapter(request: Optional[Any]) -> Any:
        if request is None or "hangup.taken" not in request.environ:
            return stock(request)
        adapter = request.environ.get(KEY)
        if adapter is None:
            adapter = request.environ[KEY] = Adapter(stock(request))
        return adapter

    return create_url_adapter


@functools.cache
def _not_found() -> Exception:
    """What most adapters raise: a Socket.IO path is no route of its application. One for all of them, because an
    exception refers to the context in which it was raised last, and connections may be many.
    """
    from werkzeug.exceptions import NotFound

    return NotFound()


class Adapter:
    """A ``werkzeug.routing.MapAdapter`` that matches its own URL once."""

    def __init__(self, stock: Any) -> None:
        self._stock = stock
        self._fails = False
        self._matched: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As ``MapAdapter.match``."""
        if args or kwargs != {"return_rule": True}:
            return self._stock.match(*args, **kwargs)
        if self._fails:
            raise _not_found().with_traceback(None)
        if self._matched is None:
            self._matched = self._match()
        return self._matched

    def _match(self) -> Any:
        from werkzeug.exceptions import NotFound

        try:
            return self._stock.match(return_rule=True)
        except NotFound as failed:
            self._fails = type(failed) is NotFound
            raise
