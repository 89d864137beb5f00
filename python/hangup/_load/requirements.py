"""Requirements: what they say, and whether they are met.

Promised
    ``NAME OPERATOR NUMBER UNIT``, with or without spaces, and nothing else: ``success>=95%``, ``p99<50ms``,
    ``errors<5%``. A share has ``%``, a duration ``us``, ``ms`` or ``s``; a rate is a number for each second. What was
    not measured is not met.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from . import Refused

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FORM = re.compile(
    r"\s*(?P<name>[a-z][a-z0-9_.]*)\s*(?P<operator>[<>]=?)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|[a-z]*)\s*",
    re.ASCII,
)
_DURATIONS = {"us": 1.0, "ms": 1e3, "s": 1e6}
_SHARES = ("success", "errors")
#: Names of requirements, and in the report.
_PERCENTILES = {
    "mean": "mean",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p999",
    "max": "max",
}
_TIMES = (*_PERCENTILES, *(f"connect.{name}" for name in _PERCENTILES))
NAMES = (*_SHARES, *_TIMES, "rate")


class Requirement(NamedTuple):
    """Something that is required.

    Attributes:
        text: as it was said.
        name: of what is compared.
        operator: ">=", "<=", ">" or "<".
        limit: in percent, microseconds, or answers for each second.
    """

    text: str
    name: str
    operator: str
    limit: float


class Verdict(NamedTuple):
    """A requirement and what was measured; ``found`` is None if nothing was."""

    requirement: Requirement
    found: Optional[float]
    met: bool

    def as_json(self) -> dict[str, Any]:
        """Durations are in microseconds."""
        return {"require": self.requirement.text, "found": self.found, "met": self.met}


def parse(text: str) -> Requirement:
    """Reads a requirement.

    Raises:
        Refused: it is none; the message says why.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise Refused(f"--require {text!r}: is not like success>=95% or p99<50ms")
    name, unit = form["name"], form["unit"]
    if name not in NAMES:
        raise Refused(f"--require {text!r}: {name!r} is none of {', '.join(NAMES)}")
    number = float(form["number"])
    if name in _SHARES:
        if unit != "%":
            raise Refused(f"--require {text!r}: {name} is a share: {name}{form['operator']}{form['number']}%")
        if number > 100:
            raise Refused(f"--require {text!r}: nothing is more than 100%")
    elif name == "rate":
        if unit:
            raise Refused(f"--require {text!r}: rate is a number of answers for each second, without a unit")
    elif unit not in _DURATIONS:
        raise Refused(f"--require {text!r}: {name} is a duration, with us, ms or s")
    return Requirement(text.strip(), name, form["operator"], number * _DURATIONS.get(unit, 1.0))


def verdicts(required: Iterable[Requirement], found: Mapping[str, Optional[float]]) -> list[Verdict]:
    """Compares.

    Args:
        required: what has to be.
        found: what is, by names; None where nothing was measured.
    """
    judged = []
    for requirement in required:
        value = found.get(requirement.name)
        met = value is not None and _OPERATORS[requirement.operator](value, requirement.limit)
        judged.append(Verdict(requirement, value, met))
    return judged


def times(latency: Mapping[str, Any], prefix: str = "") -> dict[str, Optional[float]]:
    """Of a distribution in a report, by the names of requirements, in microseconds."""
    return {prefix + name: latency.get(key) for name, key in _PERCENTILES.items()}


def share(part: float, whole: float) -> Optional[float]:
    """In percent; None of nothing."""
    return 100.0 * part / whole if whole else None
