"""Tracebacks that are text.

Promised: never an error, whatever the text is; lines that fit nowhere are left out.

How: the lines that ``traceback`` prints, by their indentation. Members of a group follow it, with a greater depth.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from .modules import module_of

MARK = "Traceback (most recent call last)"
LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_GROUP = "Exception Group Traceback (most recent call last)"
_MARGIN = re.compile(r"^( +)(?:\| ?|\+(?:-\+)?(-+(?: \d+ -+)?$)|\+ )")
_SAYS_AT_MOST = 4000
_FRAME = re.compile(r'^ *File "(.*?)", line (\d+)(?:, in (.*))?$')
_SAID = re.compile(r"^([A-Za-z_][\w.]*(?:\.<locals>\.[\w.]+)?)(?:: (.*)|:)?$")
_ERRNO = re.compile(r"^(?:\[Errno (\d+)\]|\(?(\d+), ')")
_NAMED_FILE = re.compile(r"""^\[Errno \d+\] .*: (?:'.*'|".*"|b'.*')$""", re.DOTALL)


class Frame(NamedTuple):
    """One call.

    Attributes:
        path: as printed.
        line: its number, for people.
        function: its name.
        module: the library's module, or "" if it is the user's.
        source: the printed line, or "".
    """

    path: str
    line: int
    function: str
    module: str
    source: str = ""


class Raised(NamedTuple):
    """One exception of a traceback.

    Attributes:
        type: as printed: with its module, unless that is ``builtins``.
        says: what follows the type.
        frames: the outermost first.
        depth: 0; 1, a group; 2 and more, a member of one.
    """

    type: str
    says: str
    frames: tuple[Frame, ...]
    depth: int = 0

    @property
    def name(self) -> str:
        """The type without its module."""
        return self.type.rpartition(".")[2]

    @property
    def errno(self) -> Optional[int]:
        """What the text gives as one."""
        found = _ERRNO.match(self.says)
        return int(found[1] or found[2]) if found else None

    @property
    def names_a_file(self) -> bool:
        """As errors of files do, and those of connections do not."""
        return _NAMED_FILE.match(self.says) is not None

    @property
    def own(self) -> Optional[Frame]:
        """The innermost frame of the user's."""
        return next((frame for frame in reversed(self.frames) if not frame.module), None)


def parse(lines: list[str]) -> list[Raised]:
    """The exceptions of a printed traceback, as they stand: what was raised last is the last that is in no group."""
    reader = _Reader(any(_GROUP in line for line in lines))
    for line in lines:
        reader.take(line)
    return reader.found


def last_raised(found: list[Raised]) -> tuple[Raised, list[Raised], list[Raised]]:
    """What was raised in the end, what was raised before it, and what it has as a group.

    Raises:
        IndexError: there is none.
    """
    outside = [index for index, raised in enumerate(found) if raised.depth <= 1]
    last = outside[-1]
    return found[last], found[:last], found[last + 1 :]


class _Reader:
    def __init__(self, grouped: bool) -> None:
        self.found: list[Raised] = []
        self._grouped = grouped
        self._frames: list[Frame] = []
        self._in_stack = False
        self._said = False  # the lines that follow belong to what an exception says

    def take(self, text: str) -> None:
        depth = 0
        if self._grouped and (margin := _MARGIN.match(text)):
            depth, text = len(margin[1]) // 2, text[margin.end() :]
            if margin[2]:
                self._begin(in_stack=False)
                return
        stripped = text.strip()
        if MARK in text:
            self._begin(in_stack=True)
        elif not stripped or stripped in LINKS:
            self._said = False
        elif self._in_stack and text[0] in " \t":
            self._frame(text, stripped)
        elif match := (None if self._said else _SAID.match(stripped)):
            self.found.append(Raised(match[1], match[2] or "", tuple(self._frames), depth))
            self._begin(in_stack=False, said=True)
        elif self._said and len(self.found[-1].says) < _SAYS_AT_MOST:
            self.found[-1] = self.found[-1]._replace(says=f"{self.found[-1].says}\n{stripped}")

    def _begin(self, *, in_stack: bool, said: bool = False) -> None:
        self._frames, self._in_stack, self._said = [], in_stack, said

    def _frame(self, text: str, stripped: str) -> None:
        found = _FRAME.match(text)
        if found:
            self._frames.append(Frame(found[1], int(found[2][:9]), found[3] or "", module_of(found[1])))
        elif self._frames and not self._frames[-1].source and stripped.strip("^~ "):
            self._frames[-1] = self._frames[-1]._replace(source=stripped)
