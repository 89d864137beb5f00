"""The table of connections: its columns, its order, and what is shown of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

from .._logs.text import escape

NOTHING = "-"


class Column(NamedTuple):
    """One column.

    Attributes:
        name: as in its head and for ``--sort``.
        width: characters.
        text: what is shown of a row.
        key: what rows are sorted by: the largest first, None last.
        is_right: it is written at the right.
    """

    name: str
    width: int
    text: Callable[[dict[str, Any]], str]
    key: Callable[[dict[str, Any]], Any]
    is_right: bool = True


def size(count: Optional[float]) -> str:
    """Bytes: ``512``, ``4.1K``, ``12M``."""
    if count is None:
        return NOTHING
    for unit in ("", "K", "M", "G"):
        if count < 1024 or unit == "G":
            return f"{count:.0f}{unit}" if count >= 10 or not unit else f"{count:.1f}{unit}"
        count /= 1024
    raise AssertionError


def duration(seconds: Optional[float]) -> str:
    """Seconds: ``0.3s``, ``42s``, ``12:05``, ``3h04``, ``5d03h``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def milliseconds(seconds: Optional[float]) -> str:
    """``0.05``, ``38``: a round trip."""
    if seconds is None:
        return NOTHING
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def state(row: dict[str, Any]) -> str:
    """The state of TCP, and what is more urgent."""
    if row["closing"]:
        return "closing"
    if row["silent"] is not None and row["silent"] >= 20:
        return f"silent {duration(row['silent'])}"
    return str(row["state"] or NOTHING)


def rooms(row: dict[str, Any]) -> str:
    """Their names, with the namespace where it is not the usual one."""
    names = [room if namespace == "/" else f"{namespace}:{room}" for namespace, room in row["rooms"]]
    return ",".join(names) or NOTHING


def sid(row: dict[str, Any]) -> str:
    """Socket.IO's, of the first namespace; else Engine.IO's."""
    return str(next(iter(row["sids"].values()), row["sid"]) or NOTHING)


def transport(row: dict[str, Any]) -> str:
    """Of Socket.IO; else what the connection is used for."""
    return str(row["transport"] or row["kind"])


def _number(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]


def _count(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: NOTHING if row[name] is None else str(row[name])


#: Those that say most are seen on a terminal of 80 columns.
COLUMNS = (
    Column("worker", 7, _count("worker"), _number("worker")),
    Column("sid", 20, sid, sid, False),
    Column("transport", 9, transport, transport, False),
    Column("age", 6, lambda row: duration(row["age"]), _number("age")),
    Column("rtt", 6, lambda row: milliseconds(row["rtt"]), _number("rtt")),
    Column("queue", 6, lambda row: size(row["queued"]), _number("queued")),
    Column("unacked", 7, _count("unacked"), _number("unacked")),
    Column("state", 11, state, state, False),
    Column("rooms", 24, rooms, rooms, False),
    Column("in/s", 6, lambda row: size(row["rate_in"]), _number("rate_in")),
    Column("out/s", 6, lambda row: size(row["rate_out"]), _number("rate_out")),
    Column("heard", 6, lambda row: duration(row["silent"]), _number("silent")),
    Column("fd", 5, _count("fd"), _number("fd")),
    Column("peer", 21, lambda row: row["peer"] or NOTHING, lambda row: row["peer"], False),
)
BY_NAME = {column.name: column for column in COLUMNS}


def ordered(rows: Iterable[dict[str, Any]], name: str, is_reversed: bool = False) -> list[dict[str, Any]]:
    """Figures: the largest first; texts: in their order. What is not known is last."""
    column = BY_NAME[name]
    known: list[dict[str, Any]] = []
    unknown: list[dict[str, Any]] = []
    for row in rows:
        (unknown if column.key(row) is None else known).append(row)
    known.sort(key=column.key, reverse=column.is_right != is_reversed)
    return known + unknown


def matches(row: dict[str, Any], text: str) -> bool:
    """Whether a text is in what is shown of a row, whatever the case."""
    wanted = text.lower()
    return any(wanted in column.text(row).lower() for column in COLUMNS) or wanted in str(row["sid"]).lower()


def cell(column: Column, row: dict[str, Any]) -> str:
    """What is shown, as wide as its column; nothing in it moves a terminal's cursor."""
    return fitted(escape(column.text(row)), column)


def fitted(text: str, column: Column) -> str:
    """A text in the width of a column."""
    if len(text) > column.width:
        text = text[: column.width - 1] + "…"
    return text.rjust(column.width) if column.is_right else text.ljust(column.width)


def head() -> str:
    """The line above the table."""
    return " ".join(fitted(column.name.upper(), column) for column in COLUMNS)
