"""The control sockets of workers that have hangup in them; without one, the ladder leaves out what needs it."""

from __future__ import annotations

from typing import Any, Optional

#: Seconds for an answer that costs the worker nothing.
_STATUS_WITHIN = 2.0
_CLOSE_WITHIN = 10.0


class CannotAsk(Exception):
    """The worker did not do it; the message says why."""


def answers(pid: int) -> Optional[bool]:
    """Whether a worker answers; None: it has no control socket, or not for us."""
    try:
        from .. import _control
    except ImportError:
        return None
    try:
        _control.ask(pid, "status", timeout=_STATUS_WITHIN)
    except _control.Silent:
        return False
    except _control.ControlError:
        return None
    return True


def close_silent(pid: int, seconds: float) -> int:
    """Has a worker end the connections whose clients have been silent for so long; how many these were.

    Raises:
        CannotAsk: it did not.
    """
    return len(_ask(pid, "close", silent_for=seconds, reason="silent").get("closed", ()))


def drain(pid: int, within: float) -> None:
    """Has a worker begin to send its clients away and to leave.

    Raises:
        CannotAsk: it did not.
    """
    _ask(pid, "drain", within=within, jitter=min(10.0, within / 2))


def _ask(pid: int, verb: str, **arguments: Any) -> dict[str, Any]:
    try:
        from .. import _control
    except ImportError as error:
        raise CannotAsk("this hangup has no control sockets") from error
    try:
        answer: dict[str, Any] = _control.ask(pid, verb, timeout=_CLOSE_WITHIN, **arguments)
    except _control.ControlError as error:
        raise CannotAsk(str(error)) from error
    return answer
