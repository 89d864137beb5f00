"""Units of systemd, with their drop-ins: continued lines, repeated sections, lists that an empty value empties."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterator
from typing import Optional

from ..facts import Facts, Unit
from ..values import Place, Value
from .commands import Command, commands
from .files import Unreadable, read

#: Keys whose values add up.
_LISTS = ("Environment", "EnvironmentFile", "ExecStart", "ExecStartPre", "ExecStop", "ExecReload")
_UNITS = {"": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 0.001, "min": 60, "m": 60, "minute": 60,
          "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400,
          "days": 86400, "us": 1e-6}  # fmt: skip


def read_unit(path: str, shown: str, facts: Facts) -> Optional[Unit]:
    """A unit and its drop-ins; None, and a notice, if it cannot be read."""
    sections: dict[str, dict[str, Value]] = {}
    drop_ins = sorted(glob.glob(os.path.join(glob.escape(path) + ".d", "*.conf")))
    for each in [path, *drop_ins]:
        name = shown if each == path else f"{shown}.d/{os.path.basename(each)}"
        try:
            text = read(each)
        except Unreadable as error:
            facts.notice(f"cannot be read: {error}", Place(name), "HUP500")
            continue
        for place, section, key, value in _assignments(text, name, facts):
            _set(sections.setdefault(section, {}), key, value, place)
    return Unit(os.path.basename(path), Place(shown), sections) if sections else None


def _set(section: dict[str, Value], key: str, value: str, place: Place) -> None:
    if key not in _LISTS:
        section[key] = Value(value, place)
    elif not value:
        section.pop(key, None)
    else:
        before = section.get(key)
        section[key] = Value(f"{before.value}\n{value}" if before else value, place)


def _assignments(text: str, shown: str, facts: Facts) -> Iterator[tuple[Place, str, str, str]]:
    section = ""
    for number, line in _lines(text):
        header = re.fullmatch(r"\[([^\[\]]+)\]", line)
        key, equals, value = line.partition("=")
        if header:
            section = header[1]
        elif equals and section and re.fullmatch(r"[A-Za-z][\w-]*", key.strip()):
            yield Place(shown, number), section, key.strip(), value.strip()
        else:
            facts.notice("a line is neither a section nor an assignment", Place(shown, number), "HUP500")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    pending = ""
    first = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        first = first if pending else number
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " "
        else:
            yield first, (pending + line).strip()
            pending = ""
    if pending.strip():
        yield first, pending.strip()


def environment_of(unit: Unit, folder: str) -> dict[str, str]:
    """What ``Environment=`` and those ``EnvironmentFile=`` that are here set."""
    known: dict[str, str] = {}
    for line in (unit.value("Service", "Environment") or "").split("\n"):
        known.update(_pairs(line))
    for name in (unit.value("Service", "EnvironmentFile") or "").split("\n"):
        path = name.lstrip("-").strip()
        for candidate in (path, os.path.join(folder, os.path.basename(path))) if path else ():
            try:
                text = read(candidate)
            except Unreadable:
                continue
            for line in text.split("\n"):
                if not line.strip().startswith("#"):
                    known.update(_pairs(line))
            break
    return known


def _pairs(line: str) -> dict[str, str]:
    try:
        return dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
    except ValueError:
        return {}


def starts(unit: Unit, environment: dict[str, str], facts: Facts) -> Iterator[Command]:
    """The servers in ``ExecStart=``."""
    for line in (unit.value("Service", "ExecStart") or "").split("\n"):
        try:
            yield from commands(line.lstrip("@-:+!").replace("%%", "%"), environment)
        except ValueError as error:
            facts.notice(
                f"ExecStart could not be read: {error}", unit.where("Service", "ExecStart"), "HUP500"
            )


def seconds(text: Optional[str]) -> Optional[float]:
    """A time span as systemd writes it; ``inf`` for ``infinity``, None for what is none."""
    if text is None:
        return None
    if text.strip() == "infinity":
        return float("inf")
    parts = re.findall(r"(\d{1,12}(?:\.\d+)?)\s*([a-z]*)", text)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([a-z]*)|\s", "", text):
        return None
    if any(unit not in _UNITS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def limit(text: Optional[str]) -> Optional[float]:
    """The soft limit of ``LimitNOFILE=``."""
    if text is None:
        return None
    soft = text.partition(":")[0].strip()
    if soft == "infinity":
        return float("inf")
    return float(soft) if re.fullmatch(r"\d{1,12}", soft) else None
