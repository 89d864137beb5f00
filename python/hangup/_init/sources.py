"""Python source of somebody else: read, within limits, and never run.

Promised
    Nothing that stands in a folder makes reading it fail: files that cannot be read, decoded or parsed are left out.

How
    At most :data:`MOST_FILES` files of at most :data:`LARGEST` bytes, and :data:`MOST_TEXT` letters in all, breadth
    first, so that what stands at the top is read first. Folders of environments, packages and caches are not entered,
    links to folders neither.
"""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Optional

MOST_FILES = 5000
MOST_TEXT = 50_000_000
MOST_FOLDERS = 2000
LARGEST = 1_000_000

#: Folders that hold other people's code, or none.
NOT_ENTERED = {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist", "migrations"}


class Source(NamedTuple):
    """A module.

    Attributes:
        path: of the file, below the folder that was asked for.
        text: as it is, line ends included.
        tree: parsed.
    """

    path: Path
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its name when the folder is on ``sys.path``."""
        parts = [*self.path.parts[:-1], self.path.stem]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, relative to it; those at the top first."""
    waiting, entered = [Path()], 0
    while waiting and entered < MOST_FOLDERS:
        inside = waiting.pop(0)
        entered += 1
        try:
            with os.scandir(folder / inside) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if _is_file(entry):
                yield inside / entry.name
            elif _is_entered(entry):
                waiting.append(inside / entry.name)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to where we may not look
        return False


def _is_entered(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in NOT_ENTERED or not entry.is_dir(follow_symlinks=False):
        return False
    return not os.path.lexists(os.path.join(entry.path, "pyvenv.cfg"))


def text_of(path: Path) -> Optional[str]:
    """What a file says, line ends as they are, or None if it cannot be read, is too large, or is not UTF-8."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def texts(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[tuple[Path, str]]:
    """Files below a folder that can be read as text, within the limits; what cannot is an empty text."""
    count = size = 0
    for path in walk(folder):
        if wanted(path):
            text = text_of(folder / path) or ""
            count, size = count + 1, size + len(text)
            if count > MOST_FILES or size > MOST_TEXT:
                return
            yield path, text


def parse(path: Path, text: str) -> Optional[Source]:
    """The module, or None if this Python cannot read it as one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes, which are not ours
            return Source(path, text, ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def modules(folder: Path, about: re.Pattern[str]) -> Iterator[Source]:
    """The modules below a folder.

    Args:
        about: what a module has to have in its text, or its name, to be parsed: that takes long.
    """
    for path, text in texts(folder, lambda path: path.suffix == ".py"):
        source = parse(path, text) if about.search(path.name) or about.search(text) else None
        if source is not None:
            yield source
