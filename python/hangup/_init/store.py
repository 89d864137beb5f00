"""Writing what was decided, and never over somebody's work unasked.

Promised
    A file that is there is left as it is, unless that is asked for; then it is replaced at once, as a whole, and its
    mode is kept. A link is followed to the file that it names.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

from .files import File
from .plan import Refused, shown


class Stored(NamedTuple):
    """What became of a file.

    Attributes:
        target: of the command line.
        path: absolute.
        state: ``"written"``, ``"replaced"``, ``"unchanged"``; ``"differs"`` or ``"missing"``, which were not written.
        diff: from what is there to what is wanted, unified.
    """

    target: str
    path: Path
    state: str
    diff: str


def store(file: File, folder: Path, *, force: bool = False, only_show: bool = False) -> Stored:
    """Writes a file, or says what it would change.

    Args:
        folder: for a path that is not absolute.
        force: whether a file that is there is replaced.
        only_show: whether nothing is written.

    Raises:
        Refused: the file cannot be read or written, or what is there is no text.
    """
    path = Path(os.path.realpath(folder / file.path))
    try:
        there = _there(path)
        if there == file.text:
            return Stored(file.target, path, "unchanged", "")
        diff = unified(there or "", file.text, _label(path, folder))
        if only_show or (there is not None and not force):
            return Stored(file.target, path, "missing" if there is None else "differs", diff)
        _write(path, file.text, is_new=there is None)
    except OSError as error:
        raise Refused(f"{shown(str(path))}: {error.strerror or error}") from None
    return Stored(file.target, path, "written" if there is None else "replaced", diff)


def _label(path: Path, folder: Path) -> str:
    try:
        return str(path.relative_to(folder.resolve()))
    except ValueError:
        return path.name


def unified(before: str, after: str, name: str) -> str:
    """A unified diff, which says so where a file does not end with a line's end."""
    lines = []
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    for line in difflib.unified_diff(old, new, f"a/{name}" if before else "/dev/null", f"b/{name}"):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _there(path: Path) -> Optional[str]:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise Refused(f"{shown(str(path))}: is there, and is no text") from None


def _write(path: Path, text: str, *, is_new: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            os.fchmod(number, 0o666 & ~_umask() if is_new else os.stat(path).st_mode & 0o7777)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(number)
        if is_new:
            os.link(name, path)  # somebody may have made it meanwhile: then this fails
            os.unlink(name)
        else:
            os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _umask() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
