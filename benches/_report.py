"""The table for people, and the file for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from ._rows import Row

RESULTS = Path(__file__).resolve().parent / "results"

_HEAD = ("metric", "stock", "hangup", "ratio", "quartiles", "bar", "verdict")


def say(line: str = "") -> None:
    """A line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(rows: Sequence[Row]) -> None:
    """Prints all rows, and below them what has to be known of them."""
    lines = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for number, line in enumerate(lines):
        cells = [
            cell.ljust(width) if column in (0, 5, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ]
        say("  ".join(cells).rstrip())
        if number == 0:
            say("  ".join("-" * width for width in widths))
    noted: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            noted.setdefault(row.note, []).append(row.name)
    for note, names in noted.items():
        say(f"  {', '.join(names)}: {note}")


def write(rows: Sequence[Row], facts: dict[str, Any]) -> Path:
    """Writes the rows with every single run to a file named after the time. Returns its path."""
    now = datetime.now(timezone.utc)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    shown = [
        {**asdict(row), "figure": row.figure, "bar": str(row.bar or ""), "verdict": row.verdict}
        for row in rows
    ]
    path.write_text(json.dumps({"date": now.isoformat(), **facts, "rows": shown}, indent=1))
    return path


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.spread is None else " .. ".join(map(_number, row.spread))
    figure = "" if row.figure is None else f"{_number(row.figure)} {row.figure_unit}"
    sides = (_side(value, row.unit) for value in (row.stock, row.hangup))
    return (row.name, *sides, figure, spread, str(row.bar or "-"), row.verdict)


def _side(value: Optional[float], unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
