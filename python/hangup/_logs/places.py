"""Where a traceback, or the call that logs, has been: in a logger's server, in what carries its I/O, or elsewhere.

Not: what a foreign module pretends to be by its ``__name__``.
"""

from __future__ import annotations

import enum
import functools
import sys
from typing import TYPE_CHECKING

from .table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType


class Place(enum.Enum):
    """Which part of a logger's row a module is in."""

    SERVER = "server"
    CARRIER = "carrier"
    ELSEWHERE = "elsewhere"


SERVER, CARRIER, ELSEWHERE = Place


#: Modules that were met, by logger: as many as the process has imported.
_places: dict[str, dict[str, Place]] = {name: {} for name in TABLE}
_RUNS_APP = {name: row.runs_app for name, row in TABLE.items()}


def stays_in(frames: Iterable[tuple[str, str]], logger: str) -> Place:
    """The same of a traceback that is only text.

    Args:
        frames: module and function of each, the outermost first. The module is "" where the server has none.
    """
    last = ""
    for module, function in frames:
        place = place_of(logger, module)
        if place is ELSEWHERE:
            return ELSEWHERE
        last = function if place is SERVER else last
    if not last:
        return CARRIER
    return ELSEWHERE if last in _RUNS_APP[logger] else SERVER


def raised_in(trace: TracebackType | None, logger: str) -> Place:
    """Where the traceback stays: in the logger's server, in carriers alone, or neither."""
    places = _places[logger]
    last: FrameType | None = None
    while trace is not None:
        frame = trace.tb_frame
        try:
            place = places[frame.f_globals["__name__"]]
        except (KeyError, TypeError):  # not met before; a module without a name, or with an unhashable one
            place = place_of(logger, frame.f_globals.get("__name__"))
        if place is SERVER:
            last = frame
        elif place is ELSEWHERE:
            return ELSEWHERE
        trace = trace.tb_next
    if last is None:
        return CARRIER
    return ELSEWHERE if last.f_code.co_name in _RUNS_APP[logger] else SERVER


def logged_by_server(logger: str) -> bool:
    """Whether the call that logs the record now comes from the server, through its carriers."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module != "logging" and not is_below(module, ("hangup._logs",)):
            place = place_of(logger, module)
            if place is not CARRIER:
                return place is SERVER and frame.f_code.co_name not in _RUNS_APP[logger]
        frame = frame.f_back
    return False


def place_of(logger: str, module: object) -> Place:
    """Which part of the logger's row a module is in."""
    source = TABLE[logger]
    place: Place = ELSEWHERE
    if isinstance(module, str) and not is_below(module, source.apart):
        if is_below(module, source.server):
            place = SERVER
        elif is_below(module, source.carriers):
            place = CARRIER
    if isinstance(module, str) and len(_places[logger]) < 4096:
        _places[logger][module] = place
    return place


def is_below(module: object, packages: tuple[str, ...]) -> bool:
    return isinstance(module, str) and _starts_with(module, packages)


@functools.lru_cache(maxsize=4096)
def _starts_with(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
