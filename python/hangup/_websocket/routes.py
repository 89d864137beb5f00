"""Flask's routing of a Socket.IO connection's URL, once per connection instead of once per event.

Flask-SocketIO runs each event in a request context of its own, for which Flask binds its routes to the request and
matches its URL. All events of a native connection have the environ of one request, so both have one result.

Not promised
    A route, or a ``SERVER_NAME``, that comes while a client is connected is not seen by its handlers' ``url_for``.
    An application with a ``create_url_adapter`` of its own is left alone, and so is one that :mod:`.contexts` leaves
    alone.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, Callable, Optional

#: Where a connection's adapter is kept: in its environ, which lives as long as it does. None asks for a new one.
KEY = "hangup.url_adapter"

#: For requests that are no route of their application, as Socket.IO's are: what a match depends on, and what it raised.
Failed = dict[tuple[Any, ...], Exception]
#: Names of hosts are the clients' to choose.
FAILED_LIMIT = 64


def remembering(stock: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Stands in for ``flask.Flask.create_url_adapter`` of one application."""
    failed: Failed = {}

    @functools.wraps(stock)
    def create_url_adapter(request: Optional[Any]) -> Any:
        if request is None or not ("hangup.taken" in request.environ or KEY in request.environ):
            return stock(request)
        adapter = request.environ.get(KEY)
        if adapter is None:
            adapter = request.environ[KEY] = Adapter(stock(request), failed)
        return adapter

    return create_url_adapter


class Adapter:
    """A ``werkzeug.routing.MapAdapter`` that matches its own URL once.

    Args:
        stock: the ``MapAdapter``.
        failed: what others of its application came to.
    """

    def __init__(self, stock: Any, failed: Failed) -> None:
        self._stock = stock
        self._failed = failed
        self._matched: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)

    @property
    def failed(self) -> Optional[Exception]:
        """What its own URL came to before, if it is no route; without the frames in which it was raised last."""
        return self._matched.with_traceback(None) if isinstance(self._matched, Exception) else None

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As ``MapAdapter.match``."""
        if args or kwargs != {"return_rule": True}:
            return self._stock.match(*args, **kwargs)
        if self._matched is None:
            self._matched = self._match()
        if isinstance(self._matched, Exception):
            raise self._matched.with_traceback(None)
        rule, arguments = self._matched
        return rule, dict(arguments)  # an event may change its own

    def _match(self) -> Any:
        """The result, or the exception: one for all connections, because it refers to where it was raised last."""
        from werkzeug.exceptions import NotFound

        stock = self._stock
        asked = (
            stock.url_scheme,
            stock.server_name,
            stock.subdomain,
            stock.script_name,
            stock.path_info,
            stock.default_method,
        )
        if asked in self._failed:
            return self._failed[asked]
        try:
            return stock.match(return_rule=True)
        except NotFound as failed:
            forgetful = copy.copy(failed)  # its context refers to frames, and they to the event
            if len(self._failed) < FAILED_LIMIT:
                self._failed[asked] = forgetful
            return forgetful
