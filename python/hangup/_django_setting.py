"""The setting ``HANGUP`` of Django: what may be in it. Without Django: the doctor judges it in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from ._logs.filter import ACTIONS


class Settings(NamedTuple):
    """What may be set, with its default.

    Attributes:
        LOG: what is done with log records that only say that a client left: ``demote``, ``drop`` or ``count``.
        LOG_SUMMARY: seconds from the first such record to the line that sums up; 0 for no such line, None for 60.
        STATUS: the status of a request whose client left.
        STREAMS: whether streaming responses are closed when their client leaves.
        HANDSHAKES: whether malformed opening handshakes of WebSockets are refused.
    """

    LOG: str = "demote"
    LOG_SUMMARY: Any = None
    STATUS: int = 499
    STREAMS: bool = True
    HANDSHAKES: bool = True


def _is_interval(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0)


_VALID: dict[str, tuple[Callable[[Any], bool], str]] = {
    "LOG": (lambda value: isinstance(value, str) and value in ACTIONS, f"one of {', '.join(ACTIONS)}"),
    "LOG_SUMMARY": (_is_interval, "a number of seconds, or None"),
    "STATUS": (lambda value: type(value) is int and 400 <= value <= 599, "from 400 to 599"),
    "STREAMS": (lambda value: isinstance(value, bool), "True or False"),
    "HANDSHAKES": (lambda value: isinstance(value, bool), "True or False"),
}


def judge(given: Any) -> tuple[Settings, list[str]]:
    """What a setting means, and what is wrong with it, in words."""
    if not isinstance(given, Mapping):
        return Settings(), [f"HANGUP is a dict, not {given!r}"]
    wrong = []
    good = {}
    for key, value in given.items():
        if key not in _VALID:
            wrong.append(f"HANGUP has no {key!r}: there are {', '.join(_VALID)}")
            continue
        is_valid, expected = _VALID[key]
        if is_valid(value):
            good[key] = value
        else:
            wrong.append(f"HANGUP[{key!r}] is {expected}, not {value!r}")
    return Settings(**good), wrong
