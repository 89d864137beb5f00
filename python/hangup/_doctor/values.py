"""A value, and where it is written."""

from __future__ import annotations

import dataclasses
from typing import Any


class _Unknown:
    """Computed when the application starts, or written in a file that is not here."""

    def __repr__(self) -> str:
        return "unknown"

    def __bool__(self) -> bool:
        return False


UNKNOWN = _Unknown()


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """A line of a file; ``line`` 0 is the whole of it, or no file at all (``/proc``, the environment)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclasses.dataclass(frozen=True)
class Value:
    """What is set.

    Attributes:
        value: a number, a text, a list …; :data:`UNKNOWN` if it is computed.
        assumed: what was taken for granted to know it; else empty.
    """

    value: Any
    place: Place
    assumed: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it can be judged."""
        return self.value is not UNKNOWN
