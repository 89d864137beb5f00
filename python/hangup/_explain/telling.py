"""Which lines tell of an error, found fast.

Promised: a line that the catalogue knows, or that is an error by its level, is found.

How: words that such lines contain, first, natively; only a line with one of them is looked at closely.
"""

from __future__ import annotations

import functools
import re

from .._hangup import Words
from .catalogue import FAILURES
from .heads import head_of
from .tracebacks import MARK
from .verdict import NOTHING, of_line

SEVERE = frozenset({"ERROR", "CRITICAL", "FATAL", "EXCEPTION", "EMERGENCY", "ALERT"})
_BY_LEVEL = ("ERROR", "CRITICAL", "FATAL", "[error]", "[crit]", "[alert]", "[emerg]", "EXCEPTION")
_BY_TYPE = (
    "Error",
    "Exception",
    "StopIteration",
    "Interrupt",
    "SystemExit",
    "cancel_wait_ex",
    "GreenletExit",
    "QueueEmpty",
)
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:\.<locals>\.[\w.]+)?(?:: |:?$)")
_BARE = re.compile(
    r"^(?:[a-z_][\w.]*\.)?(?:[A-Z]\w*(?:Error|Exception|Disconnect|Disconnected|Empty|Interrupt|Exit)"
    r"|StopIteration|cancel_wait_ex|socket\.timeout)(?:: |$)"
)
#: In JSON, levels are also small.
_JSON = ('"error"', '"critical"', '"fatal"')


def _shortest(words: set[str]) -> tuple[str, ...]:
    return tuple(
        sorted(word for word in words if not any(other != word and other in word for other in words))
    )


_KNOWN = {sign.needle for failure in FAILURES for sign in failure.signs if sign.needle}
_TEXTS = {text for failure in FAILURES for text in failure.texts}
_WORDS = _shortest({*_KNOWN, *_TEXTS, *_BY_LEVEL, *_BY_TYPE, MARK, *_JSON})


def tells(text: str) -> bool:
    """Whether an event begins with the line."""
    if not _may(text):
        return False
    head = head_of(text)
    if head is not None and head.severe and not head.access:
        return True
    if recognised(text):
        return True
    return head is None and is_bare_exception(text)


@functools.lru_cache(maxsize=1024)
def recognised(text: str) -> bool:
    """Whether the catalogue knows the line."""
    return of_line(text) is not NOTHING


def _may(text: str) -> bool:
    for word in _WORDS:  # noqa: SIM110  # several times as fast as any()
        if word in text:
            return True
    return False


@functools.lru_cache(maxsize=512)
def is_exception(text: str) -> bool:
    """Whether it is the last line of a traceback."""
    return _EXCEPTION.match(text) is not None


def is_bare_exception(text: str) -> bool:
    """Whether it is the last line of a traceback that is not there."""
    return _BARE.match(text) is not None


class Finder:
    """The lines of a block of a log that may tell something."""

    _words = Words([word.encode() for word in _WORDS])

    def __init__(self, block: bytes) -> None:
        self._lines = iter(self._words.lines(block))
        self._next = next(self._lines, -1)

    def find(self, start: int) -> int:
        """Where the first of them begins, at or after ``start``, which never goes back; -1, if there is none."""
        while 0 <= self._next < start:
            self._next = next(self._lines, -1)
        return self._next
