"""A class that can stand for ``socket.socket`` in CPython's own tests: its stream sockets are SafeSockets.

Promised
    It is called, derived from and asked ``isinstance`` like ``socket.socket``. Whatever SafeSocket has is
    SafeSocket's own code; only what it leaves to servers is added: ``listen`` and ``accept``.

How
    A stock socket is made and handed to SafeSocket. What is no TCP or Unix stream stays the stock socket.

Not promised
    Two objects on one number: SafeSocket refuses the second, and the first keeps the number.
"""

from __future__ import annotations

import socket
import threading
import types
from typing import Any

import hangup._socket
from hangup import SafeSocket

Stock = socket.socket
FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class Count:
    """How many stream sockets were asked for, and how many SafeSockets were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked = 0
        self.made = 0

    def add(self, asked: int = 0, made: int = 0) -> None:
        with self._lock:
            self.asked += asked
            self.made += made


count = Count()
_duplicating = threading.local()


class Adapter(SafeSocket):
    """A SafeSocket that is made like a ``socket.socket`` and can listen."""

    __slots__ = ()

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> Any:
        if getattr(_duplicating, "on", False):  # SafeSocket.dup() makes its twin from a number
            fileno, family = family, -1
        stock = Stock(family, type, proto, fileno)
        if stock.type != socket.SOCK_STREAM or stock.family not in FAMILIES:
            return stock
        count.add(asked=1)
        try:
            self = super().__new__(cls, stock)
        except OSError:
            if fileno is None:
                stock.close()
            else:
                stock.detach()  # the number is its owner's
            raise
        count.add(made=1)
        return self

    def __init__(self, *_args: Any, **_options: Any) -> None:
        """Takes what ``socket.socket`` takes, for those who derive from it."""

    def dup(self) -> Any:
        _duplicating.on = True
        try:
            return super().dup()
        finally:
            _duplicating.on = False

    def listen(self, *backlog: int) -> None:
        self._call("listen", *backlog)

    def _accept(self) -> tuple[int, Any]:
        number, address = self._call_patiently("_accept", False)
        return number, address

    def accept(self) -> tuple[Any, Any]:
        number, address = self._accept()
        accepted = Adapter(self.family, self.type, self.proto, fileno=number)
        if socket.getdefaulttimeout() is None and self.gettimeout():
            accepted.setblocking(True)  # as socket.accept()
        return accepted, address

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: Any = None) -> int:
        """The private half of ``socket.sendfile`` that CPython's tests call by name."""
        if hangup._socket._regular_file(file) is None:
            raise socket._GiveupOnSendfile("not a regular file")  # type: ignore[attr-defined]
        return self.sendfile(file, offset, count)


def install() -> None:
    """Makes it this process's ``socket.socket``. The package itself goes on seeing the stock class."""
    seen = types.ModuleType("socket")
    vars(seen).update(vars(socket))
    hangup._socket.socket = seen  # type: ignore[attr-defined]
    socket.socket = Adapter  # type: ignore[misc, assignment]
