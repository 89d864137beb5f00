"""A listener whose ``accept()`` gives guarded connections, with their request, and survives a shortage."""

from __future__ import annotations

import errno
import logging
import os
import resource
from typing import Any

from .. import _hangup
from .faces import ServerSocket

#: Descriptors kept free for what a worker opens besides connections: selectors, files, databases.
RESERVE = 8
#: Seconds for the head of a client's first request, from its connection.
HEAD = 30.0
#: The same, once the worker leaves.
LAST_HEAD = 1.0


class GuardedListener:
    """Stands in for a gunicorn listener in ``worker.sockets``.

    Event loops poll :meth:`fileno`, which is silent while accepting is paused; everything that is not defined
    here is the listener's.

    Args:
        listener: gunicorn's ``BaseSocket``.
        factory: makes a connection from an accepted descriptor.
        threads: of the worker: each may need a descriptor to wait for its client.
        early: whether clients are accepted before their request, so that nobody waits for those that send it slowly.
        log: where the one line per shortage goes.
    """

    def __init__(
        self, listener: Any, factory: type[ServerSocket], threads: int, log: logging.Logger, early: bool
    ) -> None:
        #: Whether the last :meth:`accept` gave somebody.
        self.gave_one = False
        os.set_inheritable(listener.fileno(), False)  # gunicorn does this to what it finds in its place
        self._listener = listener
        self._factory = factory
        self._log = log
        self._name: Any = None
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._acceptor = _hangup.Acceptor(
            listener, min(RESERVE + threads, limit // 4), HEAD if early else None
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def __str__(self) -> str:
        return str(self._listener)

    def fileno(self) -> int:
        return self._acceptor.fileno()

    def getsockname(self) -> Any:
        """Remembered: gunicorn asks for each client."""
        if self._name is None:
            self._name = self._listener.getsockname()
        return self._name

    def setblocking(self, flag: object) -> None:
        """Accepting never waits, whatever is asked for."""

    def accept(self) -> tuple[ServerSocket, Any]:
        """The next client whose request is here: no thread waits for those that send it byte by byte.

        Raises:
            BlockingIOError: nobody is waiting with a request, or descriptors are short.
        """
        fd, address, shortage_began = self._acceptor.accept()
        if shortage_began:
            self._log.warning(
                "hangup: descriptors are running short (limit %d): clients wait in the backlog of %s until some "
                "return; %d connections go on",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                self._listener,
                _hangup.open_descriptors(),
            )
        self.gave_one = fd is not None
        if fd is None:
            raise BlockingIOError(errno.EAGAIN, "nobody to accept")
        return self._factory(fd), address

    def leave(self) -> None:
        """Accepts nobody any more; :meth:`accept` goes on giving those who came before, as their requests arrive."""
        self._acceptor.leave(LAST_HEAD)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody was accepted whose request was not given yet."""
        return self._acceptor.is_awaited

    def close(self) -> None:
        self._acceptor.close()
        self._listener.close()
