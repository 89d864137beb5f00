"""The changes that ``--fix`` makes: each of one line, in the form that the line has. None, if it has another."""

from __future__ import annotations

import re
from typing import Optional

from .reading.files import Unreadable, read
from .registry import Edit
from .values import Place

Edits = tuple[Edit, ...]


def _line(place: Place, number: Optional[int] = None) -> Optional[str]:
    number = place.line if number is None else number
    try:
        lines = read(place.file, "surrogateescape").split("\n")
    except Unreadable:
        return None
    return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else None


def _changed(place: Place, pattern: str, replacement: str) -> Edits:
    """The line of a place with its one match replaced; nothing left of it: it goes."""
    old = _line(place)
    if old is None or len(re.findall(pattern, old)) != 1:
        return ()
    new = re.sub(pattern, replacement, old)
    return (Edit(place.file, place.line, old, (new,) if new.strip() else ()),)


def assign(place: Place, name: str, value: object) -> Edits:
    """``name = value`` of a configuration in Python; what is behind it stays."""
    return _changed(place, rf"^({re.escape(name)}\s*=\s*)[\w.\"'+*-]+(?=\s*(#.*)?$)", rf"\g<1>{value!r}")


def assign_below(place: Place, name: str, value: object) -> Edits:
    """A new ``name = value`` below a line of a configuration in Python that is one statement."""
    old = _line(place)
    if old is None or not re.fullmatch(r"\w+\s*=\s*[\w.\"'+*() -]+(#.*)?", old):
        return ()
    return (Edit(place.file, place.line, "", (f"{name} = {value!r}",), is_insertion=True),)


def append(file: str, *lines: str) -> Edits:
    """Lines at the end of a file."""
    try:
        text = read(file)
    except Unreadable:
        return ()
    return (Edit(file, len(text.splitlines()), "", lines, is_insertion=True),)


def drop_option(place: Place, option: str) -> Edits:
    """A flag of a command line: between words, or in a list of JSON or YAML."""
    quoted = rf"[\"']{re.escape(option)}[\"']"
    in_list = rf",\s*{quoted}(?=\s*[,\]])|^\s*-\s*(?:{quoted}|{re.escape(option)})\s*$"
    word = rf"(?<=\S) +{re.escape(option)}(?![\w-])|(?<=\s){re.escape(option)} +(?=[\w-])|^\s*{re.escape(option)}\s*\\$"
    line: Optional[str] = "\\"
    while line is not None and line.rstrip().endswith("\\"):  # the command goes on
        change = _changed(place, in_list, "") or _changed(place, word, "")
        if change:
            return change
        line = _line(place)
        place = Place(place.file, place.line + 1)
    return ()


def nginx_value(place: Place, name: str, value: str) -> Edits:
    """The arguments of a directive."""
    return _changed(place, rf"((?:^|[\s;{{]){re.escape(name)}\s+)[^;{{}}]+(?=;)", rf"\g<1>{value}")


def nginx_insert(place: Place, *directives: str) -> Edits:
    """Directives at the beginning of a block that begins at a place."""
    first = _line(place) or ""
    # The brace may stand on the next line; a block that is all on one line is left to its author.
    for number in (place.line,) if "{" in first else (place.line + 1,):
        old = _line(place, number)
        if old is not None and re.fullmatch(r"[^{#]*\{\s*(#.*)?", old):
            below = _line(place, number + 1) or ""
            own = re.match(r"\s*", old)
            deeper = re.match(r"\s*", below)
            indent = (
                deeper[0]
                if deeper and own and len(deeper[0]) > len(own[0])
                else (own[0] if own else "") + "    "
            )
            return (Edit(place.file, number, "", tuple(indent + each for each in directives), True),)
    return ()


def unit_value(place: Place, key: str, value: str) -> Edits:
    """The value of a key of a unit."""
    return _changed(place, rf"^(\s*{re.escape(key)}\s*=\s*).*[^\\]$", rf"\g<1>{value}")


def unit_without(place: Place, key: str) -> Edits:
    """A unit without one of its lines."""
    return _changed(place, rf"^\s*{re.escape(key)}\s*=.*[^\\]$", "")


def unit_insert(place: Place, *lines: str) -> Edits:
    """Lines at the beginning of a unit's ``[Service]``."""
    try:
        found = [
            number
            for number, line in enumerate(read(place.file).split("\n"), 1)
            if line.strip() == "[Service]"
        ]
    except Unreadable:
        return ()
    return (Edit(place.file, found[0], "", lines, is_insertion=True),) if found else ()


def list_insert(place: Place, name: str, item: str) -> Edits:
    """An item at the end of a list of Python that begins at a place: ``NAME = [``."""
    first = _line(place)
    if first is None:
        return ()
    one = re.fullmatch(rf"({re.escape(name)}\s*=\s*\[.*[^\s,\[]),?\s*(\]\s*(#.*)?)", first)
    if one and first.count("]") == 1:
        return (Edit(place.file, place.line, first, (f'{one[1]}, "{item}"{one[2]}',)),)
    if not re.fullmatch(rf"{re.escape(name)}\s*=\s*\[\s*(#.*)?", first):
        return ()
    number = place.line + 1
    last = _line(place, number)
    while last is not None and re.fullmatch(r"\s*(([\"'])[^\"']*\2\s*,)?\s*(#.*)?", last):
        number += 1
        last = _line(place, number)
    before = _line(place, number - 1) or ""
    if last is None or not re.fullmatch(r"\s*\]\s*(#.*)?", last) or number == place.line + 1:
        return ()
    indent = (re.match(r"\s*", before) or [""])[0]
    return (Edit(place.file, number - 1, "", (f'{indent}"{item}",',), is_insertion=True),)


def keyword(place: Place, name: str, value: str) -> Edits:
    """The value of a keyword argument: a plain name or number."""
    return _changed(place, rf"(?<![\w]){re.escape(name)}\s*=\s*\w+(?=\s*[,)]|\s*$)", f"{name}={value}")
