"""The rules: declared once, listed, explained, asked."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

from .facts import Facts
from .values import Place

ERROR = "error"
WARNING = "warning"
INFO = "info"

#: What the first digit of a code stands for.
SERIES = {
    "1": "gunicorn",
    "2": "Socket.IO and the application",
    "3": "the machine",
    "4": "nginx",
    "5": "systemd",
    "6": "Django and Channels",
    "7": "versions",
}


@dataclasses.dataclass(frozen=True)
class Edit:
    """A change of one line of a file.

    Attributes:
        line: from 1; with an empty ``old`` the new lines are put behind it.
        old: what the line is without its end; else nothing is changed.
        new: the lines in its place; none: it goes.
    """

    file: str
    line: int
    old: str
    new: tuple[str, ...]
    is_insertion: bool = False


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule found. ``edits`` mend it, if that is safe."""

    code: str
    place: Place
    text: str
    value: Any = None
    edits: tuple[Edit, ...] = ()

    @property
    def rule(self) -> Rule:
        """What it is an instance of."""
        return rules()[self.code]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What can be wrong.

    Attributes:
        code: ``HUPnnn``; never given to another rule.
        name: in words, for people and searches.
        severity: ``error``, it fails; ``warning``, it fails under load or by and by; ``info``.
        wrong: what it is.
        seen: what users and operators see: the message, where there is one.
        mend: what to do.
        hangup: what changes with hangup.
        source: who says so.
        django: its id among Django's system checks, if it had one before.
        is_mended: whether ``--fix`` can.
    """

    code: str
    name: str
    severity: str
    wrong: str
    seen: str
    mend: str
    hangup: str
    source: str
    django: str
    is_mended: bool
    look: Callable[[Facts], Iterator[Finding]]

    @property
    def series(self) -> str:
        """What it is about."""
        return SERIES[self.code[3]]


_RULES: dict[str, Rule] = {}


def rule(
    code: str,
    name: str,
    severity: str,
    *,
    wrong: str,
    seen: str,
    mend: str,
    hangup: str,
    source: str,
    django: str = "",
    is_mended: bool = False,
) -> Callable[[Callable[[Facts], Iterator[Any]]], Rule]:
    """Declares what is below it a rule.

    That is a generator of ``(place, text)``, ``(place, text, value)`` or ``(place, text, value, edits)``.
    """

    def declare(function: Callable[[Facts], Iterator[Any]]) -> Rule:
        @functools.wraps(function)
        def look(facts: Facts) -> Iterator[Finding]:
            for found in function(facts):
                yield Finding(code, *found)

        if code in _RULES:
            raise ValueError(f"{code} is {_RULES[code].name} already")
        _RULES[code] = Rule(code, name, severity, wrong, seen, mend, hangup, source, django, is_mended, look)
        return _RULES[code]

    return declare


@functools.cache
def rules() -> dict[str, Rule]:
    """All of them, by code."""
    package = importlib.import_module("hangup._doctor.rules")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{found.name}")
    return dict(sorted(_RULES.items()))


def matching(words: Iterable[str]) -> set[str]:
    """The codes that begin with one of the words, or whose name is one.

    Raises:
        LookupError: with the word that none does.
    """
    chosen = set()
    for word in words:
        found = {
            each.code for each in rules().values() if each.code.startswith(word.upper()) or each.name == word
        }
        if not word or not found:
            raise LookupError(word)
        chosen |= found
    return chosen


def examine(
    facts: Facts, select: Optional[set[str]] = None, ignore: Optional[set[str]] = None
) -> list[Finding]:
    """Asks the rules; each finding once, by code and place."""
    found: dict[tuple[str, Place, str], Finding] = {}
    for each in rules().values():
        if (select is None or each.code in select) and each.code not in (ignore or ()):
            for finding in each.look(facts):
                found.setdefault((finding.code, finding.place, finding.text), finding)
    return sorted(found.values(), key=lambda finding: (finding.code, finding.place))
