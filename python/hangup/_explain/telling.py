"""Which lines tell of an error, found fast.

Promised: a line that the catalogue knows, or that is an error by its level, is found.

How: words that such lines contain, first; only a line with one of them is looked at closely.
"""

from __future__ import annotations

import functools
import heapq
import re

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


@functools.lru_cache(maxsize=4096)
def is_exception(text: str) -> bool:
    """Whether it is the last line of a traceback."""
    return _EXCEPTION.match(text) is not None


def is_bare_exception(text: str) -> bool:
    """Whether it is the last line of a traceback that is not there."""
    return _BARE.match(text) is not None


class Finder:
    """The next place in a block of a log that may tell something."""

    _words = tuple(word.encode() for word in _WORDS)

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._next = [(at, word) for word in self._words if (at := block.find(word)) >= 0]
        heapq.heapify(self._next)

    def find(self, start: int) -> int:
        """The first at or after ``start``, or -1."""
        waiting = self._next
        while waiting:
            at, word = waiting[0]
            if at >= start:
                return at
            at = self._block.find(word, start)
            if at < 0:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (at, word))
        return -1
