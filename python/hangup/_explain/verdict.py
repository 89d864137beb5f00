"""Which failure a record is: the exceptions of its traceback, or its line, against the catalogue.

Promised: an exception that passes through the user's code is the user's, unless its type belongs to the server alone.
What only the last line of a traceback suggests is POSSIBLE, and never harmless.
"""

from __future__ import annotations

import enum
import functools
import re
from typing import NamedTuple, Optional

from .._logs.places import is_below
from .._logs.table import TABLE
from .catalogue import FAILURES
from .departures import UNDECIDED, departure
from .failure import Blame, Failure, Sign
from .tracebacks import Frame, Raised, last_raised

_CARRIERS = tuple(sorted({name for row in TABLE.values() for name in row.carriers}))
_ENDINGS = {ending: failure for failure in FAILURES for ending in failure.endings}
#: The end of a message about an Engine.IO session, whose ids have 20 characters.
_SID = r"[\w-]{20}(?: is not connected)?$"
#: A logger's name says who logs a text; without it, a text has to be as the server writes it, whole.
_ONCE = r".{0,300}\(further occurrences of this error will be logged with level INFO\)"
_TEXTS = tuple(
    (
        text.strip(),
        re.compile(
            rf"(?:^|[\s\]:|])'?{re.escape(text.strip())}"
            + (rf"'? (?:{_ONCE}|{_SID})" if text[-1] == " " else "$")
        ),
        failure,
    )
    for failure in FAILURES
    for text in failure.texts
)
_DEPARTURES = {label: failure for failure in FAILURES for label in failure.departures}
_EXCEPTIONS = tuple((sign, failure) for failure in FAILURES for sign in failure.signs if sign.raises)
_LINES = tuple(
    (sign.needle, re.compile(sign.line), failure)
    for failure in FAILURES
    for sign in failure.signs
    if sign.line
)


class Confidence(enum.Enum):
    """How much of a failure is to be seen."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Verdict(NamedTuple):
    """What a record is.

    Attributes:
        failure: the entry of the catalogue, or None.
        confidence: how sure that is.
        departure: whether it only says that a client left. The log filter says the same.
        blame: who has to change something.
        raised: what was raised in the end, if there is a traceback.
        own: the innermost frame of the user's, if there is one.
        others: codes of failures that look the same without their traceback.
    """

    failure: Optional[Failure]
    confidence: Confidence
    departure: bool = False
    blame: Optional[Blame] = None
    raised: Optional[Raised] = None
    own: Optional[Frame] = None
    others: tuple[str, ...] = ()

    @property
    def harmless(self) -> bool:
        """Nothing has to be done."""
        return (
            self.failure is not None
            and self.confidence is not Confidence.POSSIBLE
            and (self.failure.harmless or (self.departure and self.failure.blame is Blame.CLIENT))
        )


NOTHING = Verdict(None, Confidence.POSSIBLE)


def of_exceptions(found: list[Raised], logger: str) -> Verdict:
    """The verdict on a traceback.

    Args:
        found: what was raised, as it was printed; at least one.
        logger: the row of the log filter's table, or "".
    """
    label, ending = departure(found, logger)
    last, before, members = last_raised(found)
    if label is not None:
        failure = _ENDINGS[ending] if ending else _DEPARTURES.get(label, _DEPARTURES["reset"])
        if label == UNDECIDED:
            return Verdict(failure, Confidence.LIKELY, raised=last, own=last.own)
        return Verdict(failure, Confidence.CERTAIN, True, Blame.CLIENT, last, last.own)
    reported = _reported(last, members)
    # what the user's code raised on top of a known failure is another one
    wrapped = [] if any(raised.own for raised in reported) else reversed(before)
    for raised in (*reported, *wrapped):
        if known := _recognised(raised):
            return known
    raised = next((raised for raised in reported if raised.own), last)
    own = raised.own or next((link.own for link in reversed(before) if link.own), None)
    return Verdict(None, Confidence.CERTAIN, blame=Blame.YOURS if own else None, raised=raised, own=own)


@functools.lru_cache(maxsize=1024)
def of_line(message: str) -> Verdict:
    """The verdict on a line without a traceback."""
    for needle, pattern, failure in _LINES:
        if needle in message and pattern.search(message):
            departed = bool(_labels(failure)) and failure.harmless
            return Verdict(failure, Confidence.LIKELY, departed, failure.blame)
    for text, pattern, failure in _TEXTS:
        if text in message and pattern.search(message):
            return Verdict(failure, Confidence.LIKELY, True, failure.blame)
    return NOTHING


def of_code(code: str) -> Optional[Failure]:
    """The failure of that code."""
    return next((failure for failure in FAILURES if failure.code == code), None)


def _labels(failure: Failure) -> tuple[str, ...]:
    return (*failure.departures, *failure.endings, *failure.texts)


def _reported(last: Raised, members: list[Raised]) -> list[Raised]:
    inside = [raised for raised in members if "ExceptionGroup" not in raised.name]
    return inside or [last]


def _recognised(raised: Raised) -> Optional[Verdict]:
    bare = not raised.frames
    fits = [(sign, failure) for sign, failure in _EXCEPTIONS if _fits(sign, raised, bare)]
    if not fits:
        return None
    if bare:
        best = min(fits, key=lambda fit: (not fit[0].says, fit[1].code))[1]
        others = tuple(sorted({failure.code for _, failure in fits} - {best.code}))
        return Verdict(best, Confidence.POSSIBLE, blame=best.blame, raised=raised, others=others)
    sign, best = max(
        fits,
        key=lambda fit: (bool(fit[0].source), bool(fit[0].passes), bool(fit[0].raised_in), bool(fit[0].says)),
    )
    placed = sign.raised_in or sign.passes or "." in sign.raises
    return Verdict(
        best, Confidence.CERTAIN if placed else Confidence.LIKELY, False, best.blame, raised, raised.own
    )


def _fits(sign: Sign, raised: Raised, bare: bool) -> bool:
    kind = raised.type if "." in sign.raises else raised.name
    if kind != sign.raises or (sign.says and not _pattern(sign.says).search(raised.says)):
        return False
    if bare or sign.only_alone:
        return bare and (sign.alone or sign.only_alone)
    if sign.raised_in and not _raised_in(raised, sign.raised_in):
        return False
    return not sign.passes or any(_passes(sign, frame) for frame in raised.frames)


def _passes(sign: Sign, frame: Frame) -> bool:
    for place in sign.passes:
        module, _, function = place.partition(":")
        if is_below(frame.module, (module,)) and function in ("", frame.function):
            return not sign.source or bool(_pattern(sign.source).search(frame.source))
    return False


def _raised_in(raised: Raised, modules: tuple[str, ...]) -> bool:
    """Whether the last frame that does not only carry I/O for others is in one of the modules."""
    inside = False
    for frame in raised.frames:
        if is_below(frame.module, modules):
            inside = True
        elif not is_below(frame.module, _CARRIERS):
            inside = False
    return inside


@functools.lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
