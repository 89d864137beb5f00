"""How many errors a piece of a log has: what ``hangup logs`` knows for clients' noise is none."""

from __future__ import annotations

import io
from typing import NamedTuple

_LONGEST_EXAMPLE = 200


class Errors(NamedTuple):
    """Errors of a log.

    Attributes:
        number: how many.
        example: what the most frequent one says; empty if that is not known.
    """

    number: int
    example: str = ""


def errors(data: bytes) -> Errors:
    """Those of a piece of a log."""
    from .._explain import families, reading

    found = families.Families()
    reading.Log(found.add).read(io.BytesIO(data), "log")
    worst = found.sorted(families.Kind.BUG, families.Kind.TROUBLE)
    count = sum(family.count for family in worst)
    return Errors(count, str(worst[0].first.says)[:_LONGEST_EXAMPLE] if worst else "")
