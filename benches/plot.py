"""``python -m benches.plot [RESULT]``: draws ``docs/fanout.svg``, what a recipient costs among few and among many.

RESULT is a file of ``benches/results``; by default the newest one that has the rows (``--only fanout-cost``).
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ._process import ROOT
from ._report import RESULTS, say
from .bench_fanout import COST, CROWDS

_TARGET = ROOT / "docs" / "fanout.svg"
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 130, 46, 48
_LABEL_HEIGHT = 16

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 }
  .hangup { stroke: #0969da } .hangup.dot { fill: #0969da }
  .bare { stroke: #9a6700 } .bare.dot { fill: #9a6700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #3d444d }
    .hangup { stroke: #58a6ff } .hangup.dot { fill: #58a6ff }
    .bare { stroke: #d29922 } .bare.dot { fill: #d29922 }
  }
"""


class Line(NamedTuple):
    """Microseconds for each of the crowds."""

    kind: str
    label: str
    costs: list[float]


def main() -> int:
    """0 if it has drawn, 2 if there is no result to draw."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(RESULTS.glob("*.json"), reverse=True)
    for path in paths:
        result = json.loads(path.read_text())
        if lines := _lines(result["rows"]):
            _TARGET.write_text(_drawn(lines, result))
            say(f"{_TARGET.relative_to(ROOT)} from {path}")
            return 0
    say("no result has these rows: python -m benches --only fanout-cost")
    return 2


def _lines(rows: list[dict[str, Any]]) -> list[Line]:
    found = {row["name"]: row for row in rows if row["verdict"] != "skipped"}
    wanted = [found.get(f"{COST} {crowd:,}") for crowd in CROWDS]
    measured = [row for row in wanted if row is not None]
    if len(measured) < len(wanted):
        return []
    return [
        Line("hangup", "hangup", [row["hangup"] for row in measured]),
        Line("bare", "bare send loop", [row["stock"] for row in measured]),
    ]


def _drawn(lines: list[Line], result: dict[str, Any]) -> str:
    step = _step(max(max(line.costs) for line in lines))
    most = step * math.ceil(max(max(line.costs) for line in lines) / step)

    def place(crowd: float, cost: float) -> tuple[float, float]:
        across = math.log(crowd / CROWDS[0]) / math.log(CROWDS[-1] / CROWDS[0])
        x = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        return x, _HEIGHT - _BOTTOM - cost / most * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_text(_LEFT, 22, "Server CPU of a recipient, in microseconds", "title")]
    for number in range(round(most / step) + 1):
        x, y = place(CROWDS[0], number * step)
        parts.append(f'<path class="grid" d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(x - 8, y + 4, f"{number * step:g}", anchor="end"))
    for crowd in CROWDS:
        x, y = place(crowd, 0)
        parts.append(_text(x, y + 20, f"{crowd:,}", anchor="middle"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 8, "recipients of one broadcast of 64 bytes", anchor="middle"))
    for line in lines:
        points = [place(crowd, cost) for crowd, cost in zip(CROWDS, line.costs)]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {line.kind}" points="{drawn}"/>')
        parts += [f'<circle class="dot {line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
    above = -math.inf
    for line in sorted(lines, key=lambda line: -line.costs[-1]):
        x, y = place(CROWDS[-1], line.costs[-1])
        above = max(y, above + _LABEL_HEIGHT)
        parts.append(_text(x + 10, above + 4, line.label))
    about = f"{result['date'][:10]}, commit {result['commit'][:12]}, {result['cpu']}"
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n'
        f"  <title>What a recipient costs among few and among many ({about})</title>\n"
        f"  <style>{_STYLE}  </style>\n  {body}\n</svg>\n"
    )


def _step(most: float) -> float:
    """Between the lines of the grid: 1, 2 or 5 of some power of ten, so that there are about five."""
    power: float = 10 ** math.floor(math.log10(most / 5))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= most / 5)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


if __name__ == "__main__":
    sys.exit(main())
