"""Logs read as a stream: files, compressed ones, standard input.

Promised: memory does not grow with the log, nor with its longest line. What is damaged (a file that is cut off, is
truncated meanwhile, is no text) is read as far as it goes, and said.

How: blocks of whole lines. As long as nothing is open, a block is searched for words that tell of an error, and only
the lines around them are looked at.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from typing import IO, Any, Callable

from .events import Event, Events
from .telling import Finder

_BLOCK = 1 << 18
_LINE_AT_MOST = 1 << 20
#: Lines of a traceback that need no more than to be kept.
_INDENTED = re.compile(rb"(?:[ \t][^\r\n\x1b]*\n)+")
_OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)


class Log:
    """What has been read.

    Args:
        emit: called with each event.

    Attributes:
        lines: of all logs.
        size: bytes, decompressed.
        damages: what could not be read, a sentence each.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.lines = self.size = 0
        self.damages: list[str] = []
        self._emit = emit

    def read(self, raw: IO[bytes], name: str) -> None:
        """Reads to the end.

        Args:
            raw: what ``open(path, "rb")`` gives; a pipe also.
            name: for ``damages``.
        """
        events = Events(self._emit)
        self._before = b""
        try:
            self._read(_Peeked(raw), name, events)
        finally:
            events.flush()

    def _read(self, raw: _Peeked, name: str, events: Events) -> None:
        opener = next((opener for magic, opener in _OPENERS if raw.begins(magic)), None)
        stream: Any = opener(raw) if opener else raw
        rest = b""
        dropping = False
        while True:
            try:
                block = stream.read1(_BLOCK) if hasattr(stream, "read1") else stream.read(_BLOCK)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                self.damages.append(f"{name}: {error}")
                block = b""
            if not block:
                break
            self.size += len(block)
            self.lines += block.count(b"\n")
            if dropping:  # the rest of a line that is too long
                _, ended, block = block.partition(b"\n")
                dropping = not ended
            end = block.rfind(b"\n") + 1
            if not end:
                rest += block
                if len(rest) > _LINE_AT_MOST:
                    self._search(rest[:_LINE_AT_MOST] + b"\n", events)
                    rest, dropping = b"", True
                continue
            whole, rest = rest + block[:end], block[end:]
            self._search(whole, events)
        if rest:
            self.lines += 1
            self._search(rest + b"\n", events)

    def _search(self, block: bytes, events: Events) -> None:
        finder = Finder(block)
        here, size = 0, len(block)
        while here < size:
            found = finder.find(here)
            if events.idle:
                if found < 0:
                    self._before = block[block.rfind(b"\n", 0, size - 1) + 1 :]
                    return
                # the line before may announce it
                if found > here:
                    before = block.rfind(b"\n", here, found - 1) + 1 or here
                    events.feed(_text(block[before : found - 1]), plain=True)
                elif here == 0 and self._before:
                    events.feed(_text(self._before), plain=True)
                self._before = b""
                here = found
            if events.in_stack and (indented := _INDENTED.match(block, here)):
                here = indented.end()
                events.extend(indented[0].decode("utf-8", "replace").split("\n")[:-1])
                continue
            end = block.find(b"\n", here)
            events.feed(_text(block[here:end]), plain=here != found)
            here = end + 1
        self._before = b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


class _Peeked:
    """A stream whose first bytes have been looked at; pipes cannot go back."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._first = b""
        while len(self._first) < 6 and (more := raw.read(6 - len(self._first))):
            self._first += more

    def begins(self, magic: bytes) -> bool:
        return self._first.startswith(magic)

    def read(self, size: int = -1) -> bytes:
        if self._first:
            size = len(self._first) if size < 0 else size
            first, self._first = self._first[:size], self._first[size:]
            return first
        read1 = getattr(self._raw, "read1", None)
        return read1(size) if read1 else self._raw.read(size)

    def close(self) -> None:
        """The stream is its owner's."""
