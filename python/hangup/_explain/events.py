"""Lines put together: a record with its traceback is one event.

Promised: every line that tells of an error ends up in exactly one event; the lines of several processes that a
collector has mixed are told apart by what it put before them. Memory is bounded, whatever the lines are.

How: for each process a small machine: nothing open; a record has begun; inside a traceback; after an exception's
line. What is inside no event is forgotten, but for the last line, which may announce a traceback.

Not promised: tracebacks whose lines are mixed within one stream that says nothing of the processes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import NamedTuple

from . import telling
from .heads import head_of
from .prefixes import Line, peel
from .tracebacks import LINKS, MARK

_SIZE_AT_MOST = 300_000  # characters of a traceback
_SAID_AT_MOST = 60  # lines of what an exception says, or of a message before its traceback
_LENGTH_AT_MOST = 4000
_STREAMS_AT_MOST = 64
_FORGOTTEN_AFTER = 1024  # lines of others
_UNENDED = "socket shutdown error: "
_PARTS = re.compile(r"(?=server=[^ ]* client=)|(?=Traceback \(most recent call last\))")


class Event(NamedTuple):
    """What belongs together.

    Attributes:
        head: the lines before the traceback; the record's first line among them.
        body: the traceback, or nothing.
        when: the collector's time stamp, or "".
        level: what a JSON logger says, or "".
        logger: the same.
        lines: how many lines it has in the log.
    """

    head: tuple[str, ...]
    body: tuple[str, ...] = ()
    when: str = ""
    level: str = ""
    logger: str = ""
    lines: int = 1

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join((*self.head, *self.body))


class _State(enum.Enum):
    CLOSED, BEGUN, STACK, RAISED, LINKED = range(5)


class _Stream:
    """The lines of one process."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._state = _State.CLOSED
        self._head: list[str] = []
        self._body: list[str] = []
        self._before = ""  # may announce what follows
        self._said = self._lines = self._size = 0
        self._blank = self._repeats = False
        self._line = Line("", "", "")
        self.fed_at = 0

    @property
    def idle(self) -> bool:
        return self._state is _State.CLOSED

    def feed(self, text: str, line: Line, plain: bool, now: int) -> None:
        self.fed_at = now
        self._repeats = line.repeats or (self._repeats and self._state is _State.STACK)
        if len(text) > _LENGTH_AT_MOST:
            text = text[:_LENGTH_AT_MOST]
        if self._state is not _State.CLOSED and self._goes_on(text, plain):
            self._lines += 1
            self._blank = not text or text.isspace()
            return
        if self._state is not _State.CLOSED:
            self.flush()
        if plain:
            self._before = text
        elif MARK in text:
            self._open(text, line)
        elif telling.recognised(text):  # no traceback follows those
            self._emit(Event((text,), (), line.when, line.level, line.logger))
            self._before = ""
        elif telling.tells(text):
            self._head, self._line, self._lines, self._state = [text], line, 1, _State.BEGUN
        else:
            self._before = text

    @property
    def in_stack(self) -> bool:
        return self._state is _State.STACK

    def extend(self, lines: list[str], now: int) -> None:
        """Lines that are indented, inside a traceback."""
        self.fed_at = now
        self._lines += len(lines)
        self._size += sum(map(len, lines))
        if self._size < _SIZE_AT_MOST:
            self._body += lines

    def flush(self) -> None:
        """Whatever is open is complete."""
        if self._state is not _State.CLOSED:
            line = self._line
            self._state = _State.CLOSED
            self._emit(
                Event(tuple(self._head), tuple(self._body), line.when, line.level, line.logger, self._lines)
            )
        self._head, self._body, self._said, self._blank, self._before = [], [], 0, False, ""
        self._size = 0

    def _open(self, text: str, line: Line) -> None:
        announced = self._before.strip()
        at = text.find(MARK)
        begins = text[:at].strip(" +|")
        if begins and begins != "Exception Group":
            self._head = [text[:at]]  # the record's own line, where the traceback is all of its message
            text = text[at:]
        elif announced:
            self._head = [announced]
        self._line, self._lines, self._state = line, 1 + bool(announced), _State.STACK
        self._body = [text]

    def _goes_on(self, text: str, plain: bool) -> bool:
        state = self._state
        if state is _State.BEGUN:
            return self._goes_on_to_a_traceback(text, plain)
        if state is _State.STACK:
            return self._goes_on_in_the_stack(text, plain)
        if text in LINKS or text.strip(" |") in LINKS:
            self._keep(text)
            self._state = _State.LINKED
            return True
        if not text or text.isspace():
            return True
        if state is _State.LINKED and MARK in text:
            self._keep(text)
            self._state = _State.STACK
            return True
        if state is _State.LINKED or self._blank or self._said > _SAID_AT_MOST or MARK in text:
            return False
        if (
            text[0] not in " \t"
            and (head_of(text) or (not plain and telling.recognised(text)))
            and not _is_failed(text)
        ):
            return False
        self._said += 1
        self._keep(text)
        return True

    def _goes_on_to_a_traceback(self, text: str, plain: bool) -> bool:
        if MARK in text and not (text[:1] not in " \tT+" and head_of(text)):
            self._body.append(text)
            self._state = _State.STACK
            return True
        if not text or text.isspace():
            self._said += 1
            return self._said < 4
        if self._said >= 8 or MARK in text or head_of(text) or (not plain and telling.recognised(text)):
            return False
        self._said += 1
        self._head.append(text)
        return True

    def _goes_on_in_the_stack(self, text: str, plain: bool) -> bool:
        if text[:1] in (" ", "\t"):
            self._keep(text)
            return True
        if not text or text.isspace():
            return True
        head = head_of(text)
        if head is not None and self._repeats and telling.is_bare_exception(head.message):
            text, head = head.message, None
        if MARK in text or head is not None:
            return False  # it was cut off
        if telling.is_exception(text):
            self._keep(text)
            self._state, self._said = _State.RAISED, 0
            return True
        if not plain and telling.recognised(text):
            self._emit(Event((text,), when=self._line.when))  # of another thread
            return True
        self._keep(text)
        self._said += 1
        if self._said > 3:
            self._state = _State.RAISED
        return True

    def _keep(self, text: str) -> None:
        self._size += len(text)
        if self._size < _SIZE_AT_MOST or text[0] not in " \t":  # the exception itself comes last
            self._body.append(text)


def _parted(text: str) -> list[str]:
    """eventlet writes this without a line end: others, and tracebacks, follow on the same line."""
    return [part for part in _PARTS.split(text) if part]


def _is_failed(text: str) -> bool:
    """gevent's line after a greenlet's traceback, which begins with a date."""
    return " failed with " in text and "<Greenlet" in text


class Events:
    """Feeds each process's machine; says what is complete.

    Args:
        emit: called with each event.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._streams: dict[str, _Stream] = {}
        self._open = 0
        self._fed = 0
        self._look_at = _FORGOTTEN_AFTER
        self._prefix = ("", Line("", "", ""))

    @property
    def idle(self) -> bool:
        """Nothing is open: a line that tells nothing need not be fed."""
        return self._open == 0

    @property
    def in_stack(self) -> bool:
        """A traceback is open in the stream that has no prefix; and so indented lines are its own."""
        stream = self._streams.get("")
        return stream is not None and stream.in_stack

    def extend(self, lines: list[str]) -> None:
        """Indented lines, if :attr:`in_stack`."""
        self._fed += len(lines)
        self._streams[""].extend(lines, self._fed)

    def feed(self, text: str, plain: bool = False) -> None:
        """One line, without its end.

        Args:
            text: the line.
            plain: it has none of the words that :class:`hangup._explain.telling.Finder` finds.
        """
        line = self._peel(text)
        self._fed += 1
        if line.record:
            self._whole(line)
            return
        for part in _parted(line.text) if _UNENDED in line.text else (line.text,):
            self._take(part, line, plain)

    def _peel(self, text: str) -> Line:
        """Indented lines mostly have the prefix of the line before."""
        prefix, before = self._prefix
        at = len(prefix)
        if at and text[at : at + 1] == " " and text.startswith(prefix):
            return before._replace(text=text[at:])
        line = peel(text)
        at = len(text) - len(line.text)
        self._prefix = (
            (text[:at], line) if at and not line.record and text.endswith(line.text) else ("", line)
        )
        return line

    def _take(self, text: str, line: Line, plain: bool) -> None:
        stream = self._streams.get(line.key)
        if stream is None:
            if len(self._streams) >= _STREAMS_AT_MOST:
                self._forget(0)
            stream = self._streams[line.key] = _Stream(self._emit)
        was_idle = stream.idle
        stream.feed(text, line, plain, self._fed)
        self._open += was_idle - stream.idle
        if self._fed >= self._look_at:
            self._look_at = self._fed + _FORGOTTEN_AFTER
            self._forget(_FORGOTTEN_AFTER)

    def flush(self) -> None:
        """The log is over."""
        self._forget(-1)

    def _whole(self, line: Line) -> None:
        parts = line.text.split("\n")
        at = next((index for index, text in enumerate(parts) if MARK in text), len(parts))
        if at == len(parts) and not telling.tells(line.text) and line.level not in telling.SEVERE:
            return
        body = tuple(text[:_LENGTH_AT_MOST] for text in parts[at:])
        self._emit(Event(tuple(parts[:at][:20]), body, line.when, line.level, line.logger))

    def _forget(self, age: int) -> None:
        for key, stream in list(self._streams.items()):
            if age < 0 or self._fed - stream.fed_at > age or (age == 0 and stream.fed_at != self._fed):
                self._open -= not stream.idle
                stream.flush()
                del self._streams[key]
