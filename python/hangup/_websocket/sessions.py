"""The sessions of an ``engineio.Server``: its book of them, and their names."""

from __future__ import annotations

import functools
import itertools
import sys
from typing import Any, Callable

from .. import _hangup, _siblings
from .._siblings import owner


class Sessions(dict[str, Any]):
    """``engineio.Server.sockets``, which does not contain sessions that have ended.

    engineio looks a session up in two steps; one that ended in between raised ``KeyError('Session is disconnected')``
    through its request. How many there are is counted, for other workers to see.
    """

    def __setitem__(self, sid: str, socket: Any) -> None:
        is_new = self.get(sid) is None
        super().__setitem__(sid, socket)
        if is_new:
            _hangup.tally("sessions_opened")

    def __delitem__(self, sid: str) -> None:
        super().__delitem__(sid)
        _hangup.tally("sessions_closed")

    def pop(self, sid: str, *default: Any) -> Any:
        try:
            socket = super().pop(sid)
        except KeyError:
            if not default:
                raise
            return default[0]
        _hangup.tally("sessions_closed")
        return socket

    def __contains__(self, sid: object) -> bool:
        socket = self.get(sid)  # type: ignore[call-overload]
        if socket is None:
            return False
        if socket.closed:
            self.pop(socket.sid, None)
            return False
        return True


def id_maker(eio: Any) -> Callable[[], str]:
    """Stands in for ``engineio.Server.generate_id``, which lets go of the interpreter for its random octets. A class
    with an own way of naming sessions keeps it.
    """
    stock: Callable[[], str] = eio.generate_id
    if getattr(stock, "__func__", None) is not sys.modules["engineio"].Server.generate_id:
        return stock
    numbers = itertools.count()

    @functools.wraps(stock)
    def generate_id() -> str:
        known = _siblings.secret()
        return _hangup.session_id(next(numbers)) if known is None else owner.session_id(known)

    return generate_id
