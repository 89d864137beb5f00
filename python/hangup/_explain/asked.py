"""One question: a text or a code, and its answer."""

from __future__ import annotations

import importlib
import io
import re
from typing import Any, NamedTuple, Optional

from . import show
from .events import Event
from .failure import Failure
from .families import Judge, Judged
from .prefixes import peel
from .reading import Log
from .tracebacks import MARK, parse
from .verdict import NOTHING, of_exceptions, of_line

_CODE = re.compile(r"\s*HUP\d{3,4}\s*", re.IGNORECASE)
_DIFFERENT_AT_MOST = 20


def is_code(text: str) -> bool:
    """Whether it asks about a code."""
    return _CODE.fullmatch(text) is not None


class Answer(NamedTuple):
    """What a text is about.

    Attributes:
        found: the different things that are in it, each with how often.
    """

    found: tuple[tuple[Judged, int], ...]

    @property
    def harmless(self) -> bool:
        """Nothing has to be done about any of them."""
        return bool(self.found) and all(judged.verdict.harmless for judged, _ in self.found)

    def lines(self) -> list[str]:
        """For people, in rich's markup."""
        if not self.found:
            return [
                "NOT RECOGNISED: there is no traceback in it, and no line of the catalogue.",
                "  If there is a traceback below the line, give all of it: hangup explain < FILE",
            ]
        lines: list[str] = []
        for judged, count in self.found:
            lines += ["", *show.judged(judged, count)] if lines else show.judged(judged, count)
        return lines

    def as_json(self) -> dict[str, Any]:
        """For ``-f json``."""
        return {"harmless": self.harmless, "found": [_as_json(judged, count) for judged, count in self.found]}


def about(text: bytes) -> Answer:
    """What a text says: a line, a traceback, or a piece of a log."""
    events = _one(text)
    if not events:
        Log(events.append).read(io.BytesIO(text), "")
    judge = Judge()
    found: dict[tuple[object, ...], tuple[Judged, int]] = {}
    for judged in filter(None, map(judge.judge, events)):
        known = judged.verdict.failure
        place = (known.code, judged.verdict.confidence) if known else (judged.verdict.own or judged.says,)
        key = (judged.kind, *place)
        if key in found or len(found) < _DIFFERENT_AT_MOST:
            first, count = found.get(key, (judged, 0))
            found[key] = (first, count + 1)
    return Answer(tuple(found.values()) or tuple((judged, 1) for judged in _unlikely(text)))


def _one(text: bytes) -> list[Event]:
    """What is no event in a log may be one when it is asked about: a part of a traceback, without its first line."""
    lines = [peel(line).text.rstrip() for line in text.decode("utf-8", "replace").split("\n")]
    if any(MARK in line for line in lines) or not any(line.lstrip().startswith('File "') for line in lines):
        return []
    # what was copied from the middle may have lost its indentation
    indented = (f"  {line}" if line.startswith('File "') else line for line in lines)
    return [Event((), (f"{MARK}:", *indented))]


def _unlikely(text: bytes) -> list[Judged]:
    """An exception, or a line, in the middle of a line."""
    line = text.decode("utf-8", "replace").strip().split("\n")[-1]
    for at in re.finditer(r"[A-Za-z_][\w.]*: ", line):
        raised = parse([line[at.start() :]])
        verdict = of_exceptions(raised, "") if raised else NOTHING
        if verdict.failure is not None:
            return [Judged(Event((line,)), verdict, line)]
    verdict = of_line(line)
    return [] if verdict is NOTHING else [Judged(Event((line,)), verdict, line)]


def _as_json(judged: Judged, count: int) -> dict[str, Any]:
    verdict, own = judged.verdict, judged.verdict.own
    return {
        "code": verdict.failure.code if verdict.failure else None,
        "kind": judged.kind.value,
        "says": judged.says,
        "count": count,
        "confidence": verdict.confidence.value,
        "harmless": verdict.harmless,
        "departure": verdict.departure,
        "blame": verdict.blame.value if verdict.blame else None,
        "others": list(verdict.others),
        "own": own and {"path": own.path, "line": own.line, "function": own.function, "source": own.source},
        "failure": failure_as_json(verdict.failure) if verdict.failure else None,
    }


def failure_as_json(failure: Failure) -> dict[str, Any]:
    """An entry of the catalogue."""
    return {
        "code": failure.code,
        "title": failure.title,
        "blame": failure.blame.value,
        "why": failure.why,
        "do": failure.do,
        "avoid": failure.avoid,
        "versions": failure.versions,
        "hangup": show.helped(failure),
        "source": failure.source,
        "logged": failure.logged,
    }


def rule(code: str) -> Optional[dict[str, str]]:
    """The doctor's rule of that code; None if there is none, or no doctor."""
    try:
        registry = importlib.import_module(f"{__package__.rpartition('.')[0]}._doctor.registry")
    except ModuleNotFoundError:
        return None
    known = registry.rules().get(code)
    if known is None:
        return None
    told = ("code", "name", "severity", "wrong", "seen", "mend", "hangup", "source")
    return {name: str(getattr(known, name)) for name in told}


def rule_lines(told: dict[str, str]) -> list[str]:
    """For people."""
    rest = {name: text for name, text in told.items() if name not in ("code", "name")}
    return [f"[bold]{told['code']}[/]  {show.safe(told['name'])}", *show.rows(**rest)]
