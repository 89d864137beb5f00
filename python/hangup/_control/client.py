"""Who asks a worker."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from . import wire
from .errors import ControlError, Failed, NobodyAnswers, Refused, Silent

_KINDS: dict[Any, type[ControlError]] = {"refused": Refused, "failed": Failed}

#: Among the flags in /proc/net/unix; connections that were accepted have the same name.
_LISTENS = "00010000"


def ask(pid: int, verb: str, *, timeout: float = 5.0, **arguments: Any) -> dict[str, Any]:
    """Asks a worker.

    Args:
        pid: of the worker, not of its master.
        verb: ``status``, ``snapshot``, ``close`` or ``drain``; see :mod:`.verbs`.
        timeout: seconds for all of it.
        arguments: of the verb, in what JSON knows.

    Returns:
        What the verb says.

    Raises:
        NobodyAnswers: there is no such process, or no control socket; as :class:`Silent`: no answer in time.
        Refused: the worker does not answer this user, or changes nothing.
        Failed: the verb is unknown, or failed; an argument is wrong.
    """
    deadline = time.monotonic() + timeout
    with _connected(pid, deadline) as sock:
        try:
            with contextlib.suppress(BrokenPipeError):  # refused before it was read: the reason is there
                wire.send(sock, {"verb": verb, "arguments": arguments}, deadline)
            return _answer(sock, deadline)
        except socket.timeout:
            raise Silent(f"process {pid} did not answer within {timeout:g} s") from None
        except (OSError, wire.Unreadable) as error:
            raise NobodyAnswers(f"process {pid} did not answer: {error}") from None


def _answer(sock: socket.socket, deadline: float) -> dict[str, Any]:
    rows: list[Any] = []
    while True:
        message = wire.receive(sock, wire.LARGEST_ANSWER, deadline)
        if "error" in message:
            raise _KINDS.get(message["error"], Failed)(str(message.get("message", "")))
        rows += message.get("rows", ())
        if "result" in message:
            result: dict[str, Any] = message["result"]
            name = result.pop("rows", None)
            return result if name is None else {**result, name: rows}


@contextlib.contextmanager
def _connected(pid: int, deadline: float) -> Iterator[socket.socket]:
    """A connection to the process with this number, and no other."""
    names = list(_names(pid))
    silent = False
    for name in names:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                sock.connect("\0" + name)
            except (BlockingIOError, socket.timeout):  # nobody accepts, and others wait already
                silent = True
                continue
            except OSError:  # it has ended since
                continue
            if wire.peer(sock)[0] == pid:
                yield sock
                return
    if silent:
        raise Silent(f"process {pid} accepts nobody at its control socket")
    raise NobodyAnswers(_why_not(pid))


def _names(pid: int) -> Iterator[str]:
    """Of sockets that may be the process's control socket."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            spaces = next((line.split() for line in file if line.startswith("NSpid:")), [])
        with open("/proc/net/unix", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    own = spaces[-1] if spaces else str(pid)  # as the process knows itself, in a container
    for line in lines:
        head, _, name = line.rpartition(" @")
        if name.startswith(f"{wire.PREFIX}{own}/") and f" {_LISTENS} " in head:
            yield name


def _why_not(pid: int) -> str:
    if not os.path.exists(f"/proc/{pid}"):
        return f"there is no process {pid}"
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"):
            return f"process {pid} is in another network namespace: ask from inside of it"
    return f"process {pid} has no control socket: it is no worker that hangup guards"
