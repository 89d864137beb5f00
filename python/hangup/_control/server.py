"""A worker's side."""

from __future__ import annotations

import _socket
import atexit
import errno
import os
import time
from typing import Any, Optional

from .. import _mode
from . import threads, verbs, wire

#: Connections that may wait to be accepted.
BACKLOG = 16
#: Seconds for which the next one is waited for at a time.
A_WHILE = 3600.0
#: Seconds after which a shortage may be over.
PAUSE = 0.2
#: Seconds for which the end of the process waits for an answer that is under way.
LAST = 1.0


class Server:
    """The control socket of this process, and the thread that answers.

    Args:
        worker: gunicorn's, or None.

    Raises:
        OSError: no descriptor is left, or no such sockets are allowed here.
    """

    def __init__(self, worker: Any) -> None:
        self._verbs = verbs.Verbs(worker)
        self._is_over = False
        self._ended = threads.Alarm()
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            self._listener.bind(f"\0{wire.PREFIX}{os.getpid()}/{os.urandom(8).hex()}")
            # Without one, accept(2) reserves a number for the connection that it waits for.
            self._listener.settimeout(A_WHILE)
            self._listener.listen(BACKLOG)
            self._spare: Optional[int] = self._save()
            threads.start(self._serve)
        except BaseException:
            self.forget()
            raise

    def _save(self) -> Optional[int]:
        """A descriptor that is kept for an answer when there are no others."""
        try:
            return os.dup(self._listener.fileno())
        except OSError:
            return None

    def _serve(self) -> None:
        try:
            while not self._is_over:
                try:
                    number, _ = self._listener._accept()  # type: ignore[attr-defined]
                except OSError as error:
                    self._recover(error)
                    continue
                with _Closing(_socket.socket(fileno=number)) as client:
                    if self._is_over:
                        return
                    self._answer(client)
                if self._spare is None:
                    self._spare = self._save()
        finally:
            self._ended.ring()

    def _recover(self, error: OSError) -> None:
        if self._is_over or isinstance(error, _socket.timeout) or error.errno == errno.ECONNABORTED:
            return  # nobody has come, or has left again
        if error.errno in (errno.EMFILE, errno.ENFILE) and self._spare is not None:
            self._spend()
        else:
            self._ended.wait(PAUSE)
            self._spare = self._spare or self._save()

    def _answer(self, client: Any) -> None:
        deadline = time.monotonic() + wire.PATIENCE
        try:
            if wire.peer(client)[1] not in (0, os.geteuid()):
                error = {"error": "refused", "message": "only root and the worker's own user are answered"}
                wire.send(client, error, deadline)
                return
            try:
                question = wire.receive(client, wire.LARGEST_QUESTION, deadline)
            except wire.Unreadable as error:
                wire.send(client, {"error": "failed", "message": str(error)}, deadline)
                return
            for message in self._verbs.answer(question):
                wire.send(client, message, time.monotonic() + wire.PATIENCE)
        except OSError:
            pass  # silent, slow or gone: its business

    def stop(self) -> None:
        """Ends the thread, and waits for it: it must not come back into an interpreter that is gone."""
        self._is_over = True
        self._spend()
        self._knock()
        self._ended.wait(LAST)
        self.forget()

    def _knock(self) -> None:
        """Wakes the thread. To shut the listener down would not: accept(2) with a timeout says EAGAIN then."""
        try:
            with _Closing(
                _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            ) as door:
                door.setblocking(False)
                door.connect(self._listener.getsockname())
        except OSError:
            pass  # somebody else is at the door, or no descriptor is left: then it is not waited for any longer

    def forget(self) -> None:
        """Closes this process's descriptors. In a forked child they are copies: the parent goes on."""
        self._spend()
        self._listener.close()

    def _spend(self) -> None:
        spare, self._spare = getattr(self, "_spare", None), None
        if spare is not None:
            os.close(spare)


class _Closing:
    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __enter__(self) -> Any:
        return self._sock

    def __exit__(self, *_error: object) -> None:
        self._sock.close()


_servers: dict[int, Server] = {}


def start(worker: Any = None) -> str:
    """Has this process answer, once; not before a fork.

    Args:
        worker: gunicorn's, which can be drained.

    Returns:
        Why it does not answer; empty if it does.
    """
    if _mode.mode() == _mode.OFF:
        return "HANGUP=off"
    if os.getpid() not in _servers:
        try:
            server = _servers[os.getpid()] = Server(worker)
        except (OSError, RuntimeError) as error:
            return f"no control socket: {error}"
        atexit.register(server.stop)
    return ""


def forget() -> None:
    """In a forked child: what answers is the parent's."""
    for server in _servers.values():
        atexit.unregister(server.stop)
        server.forget()
    _servers.clear()
