"""``--fix``: applies the edits of findings, and nothing else.

Promised
    A file keeps all of its other bytes, its line ends and its mode. An edit whose line is not what it was is left out.
    A file is replaced as a whole, so that a server never reads half of one.

Not promised
    That one run mends all: of two edits of one line the first is made, the second is found again.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .registry import Edit, Finding


class Change(NamedTuple):
    """A file as it is, and as it would be. Bytes that are not UTF-8 are surrogates."""

    path: str
    before: str
    after: str


def changes(findings: Iterable[Finding]) -> list[Change]:
    """What would be changed, file by file.

    Raises:
        OSError: a file cannot be read any more.
    """
    by_file: dict[str, list[Edit]] = {}
    for finding in findings:
        for edit in finding.edits:
            by_file.setdefault(edit.file, []).append(edit)
    made = []
    for path, wanted in sorted(by_file.items()):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            before = file.read()
        after = _edited(before, wanted)
        if after != before:
            made.append(Change(path, before, after))
    return made


def _edited(text: str, wanted: list[Edit]) -> str:
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    inserted: dict[int, list[str]] = {}
    replaced: dict[int, list[str]] = {}
    for edit in wanted:
        if edit.is_insertion:
            behind = inserted.setdefault(edit.line, [])
            behind += [line + end for line in edit.new if not line or line + end not in behind]
        elif edit.line <= len(lines) and lines[edit.line - 1].rstrip("\r") == edit.old:
            replaced.setdefault(edit.line, [line + end for line in edit.new])
    result = []
    for number, line in enumerate(lines, 1):
        result += replaced.get(number, [line])
        result += inserted.get(number, [])
    return "\n".join(result)


def difference(change: Change) -> Iterator[str]:
    """The lines of a unified diff, without their ends."""
    before, after = (text.split("\n") for text in (change.before, change.after))
    yield from difflib.unified_diff(before, after, change.path, change.path, lineterm="")


def write(change: Change) -> None:
    """Replaces a file; what a symbolic link points to, not the link.

    Raises:
        OSError: it may not be written. It is as it was.
    """
    path = os.path.realpath(change.path)
    facts = os.stat(path)
    number, beside = tempfile.mkstemp(prefix=".hangup-", dir=os.path.dirname(path))
    try:
        with open(number, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(change.after)
        os.chmod(beside, facts.st_mode & 0o7777)
        with contextlib.suppress(PermissionError):
            os.chown(beside, facts.st_uid, facts.st_gid)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
