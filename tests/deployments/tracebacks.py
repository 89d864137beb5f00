"""The tracebacks of a log, one for each failure, however many exceptions it chains.

Promised: a traceback begins with Python's own line and ends with the line of its last exception. What is told apart is
told by that last line. Not promised: tracebacks whose lines another process has written between.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

_BEGINS = "Traceback (most recent call last):"
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_EXCEPTION = re.compile(r"(?:[\w.]+\.)?[A-Za-z_]\w*(?:: .*)?$")


def failures(log: str) -> Iterator[str]:
    """The line of the exception that each traceback of ``log`` ends with."""
    lines = log.splitlines()
    last: str | None = None
    at = 0
    while at < len(lines):
        if lines[at].strip().endswith(_BEGINS):
            at, last = _ending(lines, at + 1)
            following = next((line for line in lines[at : at + 3] if line.strip()), "")
            if not following.strip().endswith(_CHAINED):
                yield last
        else:
            at += 1


def count(log: str, provoked: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """The failures of ``log``: those whose line begins with one of ``provoked``, by that; the others, by their line."""
    known: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for failure in failures(log):
        found = next((wanted for wanted in provoked if failure.startswith(wanted)), None)
        if found is None:
            others[failure] += 1
        else:
            known[found] += 1
    return known, others


def _ending(lines: Sequence[str], at: int) -> tuple[int, str]:
    """Where the exception of a traceback is over, and its line."""
    indent = len(lines[at - 1]) - len(lines[at - 1].lstrip())
    while at < len(lines):
        line = lines[at][indent:]
        if line and not line[0].isspace():
            return at + 1, line if _EXCEPTION.match(line) else "?"
        at += 1
    return at, "?"
