"""A class that can stand for ``socket.socket`` in CPython's own tests: stream sockets are SafeSockets.

Listening and accepting, which SafeSocket leaves to servers, are done with CPython's own code on the guarded
number; accepted connections are SafeSockets again. Everything that is no stream is the stock class.
"""

from __future__ import annotations

import socket
from typing import Any

from hangup import SafeSocket
from hangup._socket import _regular_file

Stock = socket.socket

#: How many stream sockets were made: a run that made none has tested nothing.
made = 0


class _Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return (
            isinstance(instance, (Stock, SafeSocket))
            if cls is Adapter
            else super().__instancecheck__(instance)
        )


class _Stream(SafeSocket):
    """A SafeSocket that can also listen."""

    __slots__ = ("__dict__",)

    def listen(self, *backlog: int) -> None:
        self._call("listen", *backlog)

    def accept(self) -> tuple[Any, Any]:
        fd, address = self._call_patiently("_accept", False)
        accepted = Adapter(self.family, self.type, self.proto, fileno=fd)
        if socket.getdefaulttimeout() is None and self.gettimeout():
            accepted.setblocking(True)
        return accepted, address

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: Any = None) -> int:
        if _regular_file(file) is None:
            raise socket._GiveupOnSendfile("not a regular file")  # type: ignore[attr-defined]
        return self.sendfile(file, offset, count)


class Adapter(metaclass=_Kind):
    """Called like the class ``socket.socket``, and derived from like it."""

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> Any:
        global made
        stock = Stock(family, type, proto, fileno)
        if stock.type != socket.SOCK_STREAM or stock.family not in (
            socket.AF_INET,
            socket.AF_INET6,
            socket.AF_UNIX,
        ):
            return stock
        made += 1
        timeout = stock.gettimeout()
        stream = _Stream(stock)
        stream.settimeout(timeout)
        return stream

    def __class_getitem__(cls, item: object) -> object:
        return cls


for _name in dir(Stock):
    if not hasattr(Adapter, _name):
        setattr(Adapter, _name, getattr(Stock, _name))
