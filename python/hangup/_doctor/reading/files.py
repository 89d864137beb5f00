"""Which files there are, and their text: bounded, and never of anything but a regular file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Optional

#: Bytes of one file. Configurations are smaller; what is larger is not read.
LARGEST = 1 << 20
#: Entries of a project that are looked at, and how deep it is walked.
MOST_ENTRIES = 5000
DEEPEST = 5
_NOT_OURS = frozenset(
    {
        "node_modules",
        "site-packages",
        "__pycache__",
        "venv",
        "env",
        "build",
        "dist",
        "target",
        "vendor",
        "htmlcov",
    }
)
_TESTS = frozenset(["test", "tests", "testing"])


def shown(path: str) -> str:
    """What a file is called: from the current folder, if it is below it."""
    near = os.path.relpath(path)
    return os.path.abspath(path) if near.startswith(os.pardir) else near


class Unreadable(Exception):
    """Why a file was not read."""


def read(path: str, errors: str = "replace") -> str:
    """The text of a file; ``errors`` says what becomes of bytes that are not UTF-8.

    Raises:
        Unreadable: with the reason.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from error
    try:
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable("not a regular file")
        if facts.st_size > LARGEST:
            raise Unreadable(f"larger than {LARGEST} bytes")
        content = b""
        while len(content) <= LARGEST:
            more = os.read(number, LARGEST)
            if not more:
                break
            content += more
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    finally:
        os.close(number)
    return content[:LARGEST].decode("utf-8-sig", errors=errors)


def walk(root: str) -> Iterator[str]:
    """The files of a project, each folder's own before those below it, without what is not its own or only tests.

    Ends after :data:`MOST_ENTRIES`, with an empty string.
    """
    waiting = [(root, 0)] if os.path.realpath(root) != os.sep else []  # a service without a folder of its own
    seen = 0
    while waiting:
        folder, depth = waiting.pop(0)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        if depth and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            seen += 1
            if seen > MOST_ENTRIES:
                yield ""
                return
            if _is_folder(entry):
                if depth < DEEPEST and not _is_skipped(entry.name):
                    waiting.append((entry.path, depth + 1))
            elif not (entry.name.startswith("test_") or entry.name in ("conftest.py",)):
                yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _NOT_OURS or name in _TESTS


def find(name: str, near: str, root: str) -> Optional[str]:
    """A file that is named by a path of the machine it is deployed to.

    Looked for as it is, beside the file that names it, and under the project by the longest end of the path.
    """
    if "\0" in name:
        return None
    if os.path.isabs(name):
        ends = name.strip("/").split("/")
        candidates = [name, *(os.path.join(root, *ends[start:]) for start in range(len(ends)))]
    else:
        candidates = [os.path.join(near, name), os.path.join(root, name)]
    return next((path for path in candidates if os.path.isfile(path)), None)
