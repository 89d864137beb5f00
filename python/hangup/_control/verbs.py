"""What a worker can be asked.

``status``
    ``pid``, ``version``, ``mode``, ``draining`` (seconds that are left, or null), ``websockets``, ``polling``
    (sessions), ``open`` (descriptors of hangup's).
``snapshot``
    ``status``, and ``connections``: see ``docs/top.md``.
``close``
    Of ``sids``, ``numbers``, ``fds``, ``silent_for`` and ``idle_for`` (seconds) those that are meant
    (:class:`.closing.Wanted`); ``code`` and ``reason`` of the close frame. ``closed``: the rows of those that were
    ended, each with ``how``; ``missing``: the names that nobody has.
``drain``
    ``within`` and ``jitter`` seconds, ``code`` and ``reason``: see :mod:`.draining`. ``draining``: seconds that are
    left. It has begun when this is answered; with ``dry_run`` only the question is judged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Callable, Optional

from .. import _hangup, _mode, _sessions
from . import closing, draining
from .connections import listed, websockets
from .errands import Errands

Rows = Iterator[dict[str, Any]]
Message = dict[str, Any]

#: RFC 6455's registry, section 11.7.
SERVICE_RESTART = 1012


class CannotDo(Exception):
    """What was asked for cannot be done here."""


class Verbs:
    """What this process answers.

    Args:
        worker: gunicorn's, or None.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._mode = _mode.mode()
        self._errands: Optional[Errands] = Errands() if self._mode == _mode.ON else None

    def answer(self, question: Message) -> Iterator[Message]:
        """The messages of an answer."""
        verb, arguments = question.get("verb"), question.get("arguments", {})
        known: dict[Any, Callable[..., Iterator[Message]]] = {
            "status": self._status,
            "snapshot": self._snapshot,
            "close": self._close,
            "drain": self._drain,
        }
        if verb not in list(known):  # also what cannot be hashed
            yield _error("failed", f"no such verb: {verb!r:.80}; there are {', '.join(known)}")
        elif self._errands is None and verb not in ("status", "snapshot"):
            yield _error("refused", f"HANGUP={self._mode}: nothing is changed")
        elif not isinstance(arguments, dict):
            yield _error("failed", "arguments are an object")
        else:
            try:
                yield from known[verb](**arguments)
            except (TypeError, ValueError, CannotDo, OSError, RuntimeError) as error:
                yield _error("failed", f"{verb}: {error}")

    def _facts(self) -> Message:
        from .. import __version__

        drain = draining.current()
        left = None if drain is None else max(drain.deadline - drain.now(), 0.0)
        return {
            "pid": os.getpid(),
            "version": __version__,
            "mode": self._mode,
            "draining": left,
            "websockets": len(websockets()),
            "polling": sum(1 for _ in _sessions.polling()),
            "open": _hangup.open_descriptors(),
        }

    def _status(self) -> Iterator[Message]:
        yield {"result": self._facts()}

    def _snapshot(self) -> Iterator[Message]:
        facts = self._facts()
        yield from _in_rows(connection.row for connection in listed())
        yield {"result": {**facts, "rows": "connections"}}

    def _close(self, code: int = closing.NORMAL, reason: str = "", **wanted: Any) -> Iterator[Message]:
        code, reason = closing.checked_code(code), closing.checked_reason(reason)
        meant = closing.Wanted(**wanted)
        missing: list[Any] = []

        def closed() -> Rows:
            for row in closing.close(meant, code, reason, self._in_its_model):
                if "missing" in row:
                    missing.append(row["missing"])
                else:
                    yield row

        yield from _in_rows(closed())
        yield {"result": {"rows": "closed", "missing": missing}}

    def _drain(
        self,
        within: float = 60.0,
        jitter: float = 10.0,
        code: int = SERVICE_RESTART,
        reason: str = "",
        dry_run: bool = False,
    ) -> Iterator[Message]:
        within, jitter = draining.checked_times(within, jitter)
        code, reason = closing.checked_code(code), closing.checked_reason(reason)
        if self._worker is None:
            raise CannotDo("this process is no worker of gunicorn's: nobody would take its place")
        if dry_run:
            yield {"result": {"draining": None}}
            return
        drain = draining.begin(self._worker, within, jitter, code, reason, self._in_its_model)
        yield {"result": {"draining": max(drain.deadline - drain.now(), 0.0)}}

    def _in_its_model(self, function: Callable[[], Any]) -> bool:
        return self._errands is not None and self._errands.run(function)


def _in_rows(rows: Rows) -> Iterator[Message]:
    for batch in closing.in_batches(rows):
        yield {"rows": batch}


def _error(kind: str, message: str) -> Message:
    return {"error": kind, "message": message}
