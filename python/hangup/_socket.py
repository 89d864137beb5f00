"""``SafeSocket``: a socket whose descriptor is owned natively.

Promised
    * A close never hands the number to somebody else while this process still uses it.
    * ``close()`` is idempotent, wakes whoever is blocked in ``recv`` or ``send``, and does not wait.
    * ``sendall`` sends everything, or raises with ``bytes_sent``; no other writer gets in between.

How
    Transfers, timeouts and the close are the native ``Socket``'s. Everything rarely called is CPython's own
    code (:mod:`hangup._delegated`). Under gevent or eventlet the class is combined with the waits
    of that hub (:mod:`hangup._green`), so nothing native blocks it.

Not promised
    Datagram and listening sockets; TLS (an ``ssl.SSLSocket`` is refused).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import threading
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Optional, Union

from . import _hangup
from ._delegated import Delegated
from .exceptions import CannotGuard

if TYPE_CHECKING:
    from typing_extensions import Self

#: Whether a close is remembered with its stack, for a hundred times what it costs to remember its place.
_says_stacks = os.environ.get("HANGUP_DEBUG") == "1"
_SEND_CHUNK = 64 * 1024  # bytes read from a file at a time where sendfile(2) cannot be used
_UNTIL_END_OF_FILE = 1 << 62  # bytes
_NO_SENDFILE = ("misuse", "exhausted")  # causes: no mmap-like file, or no descriptor left


class SafeSocket(Delegated):
    """Takes a connected stream socket over and duck-types :class:`socket.socket`.

    Args:
        sock: a ``socket.socket`` (or gevent's, or eventlet's), which is left inert, or a descriptor number.

    Raises:
        CannotGuard: the descriptor is closed, no socket, listening, TLS or guarded already. Nothing was taken.
        TypeError: ``sock`` is neither a number nor a socket.
    """

    __slots__ = ("_closed", "_io_refs")

    _green = False
    _role: Literal["owner", "server", "application"] = "owner"
    _io_refs: int
    _closed: bool

    def __new__(cls, sock: Union[socket.socket, int]) -> Self:
        from ._green import flavour

        cls = flavour(cls, sock)
        fd, timeout = _take_over(sock)
        self = super().__new__(cls, fd, cls._role, cls._green)
        self._prepare()
        if not isinstance(sock, int):  # still known after a close
            self._identity = int(sock.family), int(sock.type), sock.proto
        self.settimeout(timeout)
        return self

    def _prepare(self) -> None:
        self._closed = False
        self._io_refs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if not self._closed:
            self.close()

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        if self._is_closed:
            return f"<{name} [closed] fd=-1>"
        parts = [
            f"fd={self._number}",
            f"family={self.family!s}",
            f"type={self.type!s}",
            f"proto={self.proto}",
        ]
        for label, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            try:
                parts.append(f"{label}={ask()}")
            except OSError:  # not bound, not connected, or closed meanwhile
                continue
        return f"<{name} {', '.join(parts)}>"

    def __getstate__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __del__(self) -> None:
        if self._role == "owner" and not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self._real_close()

    def close(self) -> None:
        """Ends this use of the connection. Files from :meth:`makefile` keep it open until they are closed."""
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self) -> None:
        self._close(caller(1))

    def _decref_socketios(self) -> None:
        if self._io_refs > 0:
            self._io_refs -= 1
        if self._closed:
            self.close()

    def detach(self) -> int:
        """Gives the descriptor up without closing it; the caller owns it from now on.

        Returns:
            Its number, or -1 if the socket was closed.

        Raises:
            Busy: another thread is using it.
        """
        number = super().detach()
        self._closed = True
        return number

    def getblocking(self) -> bool:
        """False if the timeout is zero."""
        return self.gettimeout() != 0

    def dup(self) -> SafeSocket:
        """A guarded duplicate of the descriptor, not inheritable, with the same timeout."""
        with self._pin() as fd:
            duplicate = os.dup(fd)
        try:
            twin = self._twin_class()(duplicate)
        except BaseException:
            os.close(duplicate)
            raise
        twin.settimeout(self.gettimeout())
        return twin

    def _twin_class(self) -> type[SafeSocket]:
        return type(self)

    def makefile(self, mode: str = "r", buffering: Optional[int] = None, **text: Any) -> Any:
        """As :meth:`socket.socket.makefile`."""
        return socket.socket.makefile(self, mode, buffering, **text)  # type: ignore[call-overload]

    def sendfile(self, file: BinaryIO, offset: int = 0, count: Optional[int] = None) -> int:
        """Sends a file from ``offset`` on, by sendfile(2) where that is possible.

        Args:
            file: opened in binary mode.
            offset: bytes.
            count: bytes, or None for everything up to the end.

        Returns:
            The bytes sent. ``file`` is positioned behind them, also after an error.

        Raises:
            ValueError: the file is not binary, the socket does not wait, or ``count`` is not positive.
            PeerGone, ClosedHere, Broken, TimedOut: the transfer ended early.
        """
        _check_sendfile(self, file, count)
        number = _regular_file(file)
        if number is None or not _hangup.can_send_files():
            return self._sendfile_use_send(file, offset, count)
        wanted = _UNTIL_END_OF_FILE if count is None else count
        total = 0
        try:
            while total < wanted:
                sent = self._send_part(number, offset + total, wanted - total)
                if sent == 0:
                    break
                total += sent
        except BaseException as error:  # a signal handler's as well
            total += getattr(error, "bytes_sent", 0)
            _position(file, offset + total)
            if total == 0 and getattr(error, "cause", "") in _NO_SENDFILE:
                return self._sendfile_use_send(file, offset, count)
            if hasattr(error, "bytes_sent"):
                error.bytes_sent = total
            raise
        _position(file, offset + total)
        return total

    def _send_part(self, number: int, offset: int, count: int) -> int:
        return self._send_file(number, offset, count)

    def _sendfile_use_send(self, file: BinaryIO, offset: int = 0, count: Optional[int] = None) -> int:
        _check_sendfile(self, file, count)
        if offset:
            file.seek(offset)
        left = _UNTIL_END_OF_FILE if count is None else count
        total = 0
        try:
            while left > total:
                data = file.read(min(left - total, _SEND_CHUNK))
                if not data:
                    break
                self.sendall(data)
                total += len(data)
        except BaseException as error:  # a signal handler's as well
            if hasattr(error, "bytes_sent"):
                total += error.bytes_sent
                error.bytes_sent = total
            raise
        finally:
            if total:
                _position(file, offset + total)
        return total


def caller(depth: int) -> str:
    """The nearest place outside of this package, as ``file:line in function``.

    Where that is the start of a thread, as for ``Thread(target=sock.close)``, the thread's name is added, and with
    ``HANGUP_DEBUG=1`` lines with the stack.
    """
    frame = sys._getframe(depth + 1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    if frame.f_globals.get("__name__") == "threading":
        place += f" of thread {threading.current_thread().name}"
    if _says_stacks:
        from traceback import format_stack

        place += "\n" + "".join(format_stack(frame)).rstrip()
    return place


def _is_ours(module: str) -> bool:
    return module == __package__ or module.startswith(f"{__package__}.")


def _take_over(sock: Union[socket.socket, int]) -> tuple[int, Optional[float]]:
    """Checks ``sock``, then takes its descriptor away from it. The descriptor, and the timeout."""
    if isinstance(sock, int):
        number = int(sock)
    elif callable(getattr(sock, "detach", None)) and callable(getattr(sock, "fileno", None)):
        number = sock.fileno()
    else:
        raise TypeError(f"SafeSocket() takes a socket or a descriptor number, not {type(sock).__name__!r}")
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, (ssl.SSLSocket, ssl.SSLObject)):
        raise _refusal(number, "TLS socket")
    objection = "already guarded" if isinstance(sock, _hangup.Socket) else _hangup.objection(number)
    if objection is not None:
        raise _refusal(number, objection)
    if isinstance(sock, int):
        return number, socket.getdefaulttimeout()
    timeout = sock.gettimeout()
    return sock.detach(), timeout


def _refusal(fd: int, kind: str) -> CannotGuard:
    code = {"closed": errno.EBADF, "already guarded": errno.EBUSY, "listening socket": errno.EINVAL}
    error = CannotGuard(code.get(kind, errno.ENOTSOCK), f"cannot guard descriptor {fd}: {kind}")
    error.fd, error.kind = fd, kind
    return error


def _check_sendfile(sock: SafeSocket, file: Any, count: Optional[int]) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if sock.type & socket.SOCK_STREAM == 0:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None and not isinstance(count, int):
        raise TypeError(f"count must be a positive integer (got {count!r})")
    if count is not None and count <= 0:
        raise ValueError(f"count must be a positive integer (got {count!r})")
    if sock.gettimeout() == 0:
        raise ValueError("non-blocking sockets are not supported")


def _position(file: Any, offset: int) -> None:
    if hasattr(file, "seek"):  # a file wrapper need not have it
        file.seek(offset)


def _regular_file(file: Any) -> Optional[int]:
    """The number of ``file`` if the kernel can send it."""
    try:
        number = file.fileno()
        return int(number) if stat.S_ISREG(os.fstat(number).st_mode) else None
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
