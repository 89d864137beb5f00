"""The workers of one gunicorn master know each other.

Promised
    * A request of an Engine.IO session is served by the worker that has the session, whichever worker its connection
      came to (:mod:`.passing`); new sessions begin where the fewest are.
    * An emit, and what else python-socketio's managers do for all processes, reaches the clients of all workers,
      without a message queue (:mod:`.bus`).
    * The WebSockets of a worker that leaves go on in another one (:mod:`.departure`, :mod:`.moves`).
    * Only processes of the same user, or of root, can tell a worker something; who has a session cannot be read off its
      id, and an id that no worker made goes nowhere (:mod:`.owner`).

How
    The master draws a secret, which its workers inherit; a worker listens under names made of it and of its pid
    (``crates/hangup-core/src/siblings``). Who serves, and how many sessions it has, is in the family's memory.

Not promised
    A session that polls does not outlive its worker: its client begins a new one. TLS connections cannot be passed, and
    asgi and tornado workers do not take part.
"""

from __future__ import annotations

import logging
import os
import secrets
from typing import Any, Optional

from .. import _hangup

logger = logging.getLogger("hangup")

#: What travels to which inbox of a worker.
CONNECTIONS, MESSAGES = b"connections", b"messages"
#: Seconds for which a worker waits for room at another one.
PATIENCE = 1.0

_secret: Optional[bytes] = None
_lines: dict[tuple[int, bytes], Any] = {}
_lines_of = 0
_turns: dict[tuple[int, bytes], Any] = {}


def found() -> None:
    """In the master: those who are forked from now on know each other. Nothing, the second time."""
    global _secret
    if _secret is None:
        _secret = secrets.token_bytes(16)


def secret() -> Optional[bytes]:
    """16 random octets that this process and its siblings share; None if it has none."""
    return _secret


def inbox(kind: bytes) -> Any:
    """Where siblings can send to this process.

    Raises:
        OSError: the kernel has no descriptor or memory for it.
    """
    return _hangup.Inbox(_name(os.getpid(), kind))


def take_turn(what: bytes) -> bool:
    """True for one of the processes that know each other, until it ends."""
    if (os.getpid(), what) not in _turns:
        try:
            _turns[os.getpid(), what] = _hangup.Inbox(_name(0, what))  # a name has one owner
        except OSError:
            return False
    return True


def others() -> list[int]:
    """The pids of those that hear what is told, also while they leave; without the calling process."""
    own = os.getpid()
    return [pid for pid in _hangup.listening() if pid != own]


def send(pid: int, kind: bytes, data: bytes, fd: int = -1) -> bool:
    """Sends to a sibling. False if it is gone, or has no room for it in :data:`PATIENCE` seconds.

    Args:
        pid: of one that serves.
        kind: which of its inboxes.
        data: of any size.
        fd: goes along as a duplicate, unless it is -1.
    """
    for is_kept in (True, False):  # one that was kept may be of an inbox that was closed since
        try:
            sent: bool = _line(pid, kind, is_kept).send(data, fd, PATIENCE)
            return sent
        except (ConnectionError, PermissionError):
            _lines.pop((pid, kind), None)
        except OSError as error:  # there is no descriptor or memory for it
            logger.debug("hangup: worker %d was not told something: %s", pid, error)
            break
    return False


def _line(pid: int, kind: bytes, is_kept: bool) -> Any:
    global _lines_of
    if _lines_of != os.getpid():
        _lines.clear()  # those of the process that forked this one
        _lines_of = os.getpid()
    line = _lines.get((pid, kind)) if is_kept else None
    if line is None:
        _forget_the_dead(pid)
        line = _lines[pid, kind] = _hangup.Line(_name(pid, kind))
    return line


def _forget_the_dead(but: int) -> None:
    """Closes the lines to those that are gone: workers come and go for as long as their master lives."""
    listening = {but, os.getpid(), *others()}
    for known in list(_lines):
        if known[0] not in listening:
            _lines.pop(known, None)


def _name(pid: int, kind: bytes) -> bytes:
    import hashlib

    # Anybody can list the names (proc(5)), and nobody should learn the secret from them.
    digest = hashlib.blake2b(b"%d" % pid + kind, key=_secret or b"", digest_size=16)
    return b"hangup-" + digest.hexdigest().encode()
