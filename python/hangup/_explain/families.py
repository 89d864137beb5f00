"""Events counted by what they are.

Promised: an event is in one family; bugs of the user's are never in a family of clients. Memory is bounded by the
number of families, and that by :data:`_FAMILIES_AT_MOST`: what comes later is counted together.

How: by the failure's code; else by the exception's type and the user's innermost frame; else by the words of the line.
Tracebacks that are the same letter for letter are judged once.
"""

from __future__ import annotations

import datetime
import enum
import re
from typing import Any, NamedTuple, Optional

from . import telling
from .events import Event
from .heads import head_of, logger_of, moment
from .tracebacks import Frame, parse
from .verdict import NOTHING, Confidence, Verdict, of_exceptions, of_line

_FAMILIES_AT_MOST = 5000
_KNOWN_AT_MOST = 16_000_000  # characters of tracebacks
_SAYS_AT_MOST = 500
_EXAMPLE_AT_MOST = 4000
_FIGURES = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{12,}|\d+")


class Kind(enum.Enum):
    """What is to be done about a family, the most urgent first."""

    BUG = "bug"
    TROUBLE = "trouble"
    NOISE = "noise"


class Judged(NamedTuple):
    """An event, and what it is.

    Attributes:
        event: the event.
        verdict: the verdict.
        says: the exception or message, on one line.
    """

    event: Event
    verdict: Verdict
    says: str

    @property
    def kind(self) -> Kind:
        """Bugs are what no failure of the catalogue explains."""
        if self.verdict.harmless:
            return Kind.NOISE
        return Kind.BUG if self.verdict.failure is None else Kind.TROUBLE

    def without_bulk(self) -> Judged:
        """What a family needs of it: a traceback can be long."""
        raised = self.verdict.raised
        short = raised and raised._replace(frames=raised.frames[-1:], says=raised.says[:_SAYS_AT_MOST])
        return Judged(Event(()), self.verdict._replace(raised=short), self.says[:_SAYS_AT_MOST])


class Judge:
    """Judges events; remembers what it has judged."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Verdict, str]] = {}
        self._size = 0

    def judge(self, event: Event) -> Optional[Judged]:
        """None, if the event tells of no error after all."""
        if event.body:
            logger = event.logger or logger_of(list(event.head))
            key = (logger, "\n".join(event.body))
            known = self._known.get(key)
            if known is None:
                known = _of_body(event, logger)
                self._size += len(key[1])
                if self._size > _KNOWN_AT_MOST:
                    self._known.clear()
                    self._size = len(key[1])
                self._known[key] = known
            return Judged(event, *known)
        return _of_message(event)


def _of_body(event: Event, logger: str) -> tuple[Verdict, str]:
    found = parse(list(event.body))
    if not found:  # cut off before its exception
        cut = parse([*event.body, "Cut: "])
        own = cut[0].own if cut else None
        return NOTHING._replace(
            own=own, raised=cut[0]._replace(type="") if cut else None
        ), "a traceback that is cut off"
    verdict = of_exceptions(found, logger)
    raised = verdict.raised or found[-1]
    return verdict, f"{raised.type}: {raised.says}" if raised.says else raised.type


def _of_message(event: Event) -> Optional[Judged]:
    text = event.head[0] if event.head else ""
    head = head_of(text)
    message = text if head is None else head.message
    verdict = of_line(text)
    if verdict is NOTHING and telling.is_bare_exception(message):
        found = parse([message])
        if found:
            verdict = of_exceptions(found, "")
    if verdict is NOTHING:
        severe = event.level in telling.SEVERE or (head is not None and head.severe and not head.access)
        if not severe:
            return None
    return Judged(event, verdict, message.strip() or text)


class Family:
    """Events of the same kind.

    Attributes:
        kind: what is to be done.
        first: an event of it: its verdict, and what it says.
        count: how many.
        lines: how many lines of the log they are.
        since: the earliest, if any has a time.
        until: the latest.
    """

    def __init__(self, first: Judged) -> None:
        self.kind = first.kind
        self.first = first.without_bulk()
        self.example = first.event.text[:_EXAMPLE_AT_MOST]
        self.count = self.lines = 0
        self.since: Optional[datetime.datetime] = None
        self.until: Optional[datetime.datetime] = None

    def add(self, judged: Judged) -> None:
        """One more."""
        self.count += 1
        self.lines += judged.event.lines
        when = moment(_when(judged.event))
        if when is not None:
            self.since = when if self.since is None or when < self.since else self.since
            self.until = when if self.until is None or when > self.until else self.until

    @property
    def code(self) -> str:
        """The failure's, or ""."""
        failure = self.first.verdict.failure
        return failure.code if failure else ""

    @property
    def place(self) -> Optional[Frame]:
        """The user's innermost frame; if there is none, the innermost."""
        verdict = self.first.verdict
        if verdict.own is not None:
            return verdict.own
        return verdict.raised.frames[-1] if verdict.raised and verdict.raised.frames else None

    def as_json(self, lines: int) -> dict[str, Any]:
        """For ``-f json``."""
        verdict, place = self.first.verdict, self.place
        failure = verdict.failure
        return {
            "kind": self.kind.value,
            "code": self.code or None,
            "title": failure.title if failure else None,
            "says": self.first.says,
            "blame": verdict.blame.value if verdict.blame else None,
            "confidence": verdict.confidence.value,
            "place": place and {"path": place.path, "line": place.line, "function": place.function},
            "yours": verdict.own is not None,
            "count": self.count,
            "lines": self.lines,
            "share": round(self.lines / lines, 6) if lines else 0.0,
            "first": self.since.isoformat() if self.since else None,
            "last": self.until.isoformat() if self.until else None,
            "do": failure.do if failure else None,
            "example": self.example,
        }


class Families:
    """All events of some logs."""

    def __init__(self) -> None:
        self._judge = Judge()
        self._families: dict[tuple[str, ...], Family] = {}

    def add(self, event: Event) -> None:
        """One more."""
        judged = self._judge.judge(event)
        if judged is None:
            return
        key = _signature(judged)
        family = self._families.get(key)
        if family is None:
            if len(self._families) >= _FAMILIES_AT_MOST:
                family = self._families.setdefault(("", judged.kind.value), Family(judged))
            else:
                family = self._families[key] = Family(judged)
        family.add(judged)

    def sorted(self, *kinds: Kind) -> list[Family]:
        """The families of these kinds, or all: the most urgent kind first, then the most frequent."""
        order = list(Kind)
        chosen = [family for family in self._families.values() if not kinds or family.kind in kinds]
        return sorted(chosen, key=lambda family: (order.index(family.kind), -family.count))


def _signature(judged: Judged) -> tuple[str, ...]:
    verdict = judged.verdict
    if verdict.failure is not None:
        return (verdict.failure.code, judged.kind.value, str(verdict.confidence is Confidence.POSSIBLE))
    if verdict.raised is None:
        return ("message", _FIGURES.sub("#", judged.says)[:200])
    frames = verdict.raised.frames
    place = verdict.own or (frames[-1] if frames else None)
    where = (
        (place.path, str(place.line), place.function) if place else (_FIGURES.sub("#", judged.says)[:200],)
    )
    return ("bug", verdict.raised.type, *where)


def _when(event: Event) -> str:
    for text in event.head:
        head = head_of(text)
        if head is not None and head.when:
            return head.when
    return event.when
