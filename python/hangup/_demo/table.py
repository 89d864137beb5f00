"""Runs the scenarios and prints "stock | hangup".

Promised: one progress line at a time on standard error, one table (or JSON) on standard output, nothing
hard-coded. A scenario enters the table only if it ran on both stacks; what was left out is named below it.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hangup._demo.scenarios import SCENARIOS, Measurement, Scenario
from hangup._demo.server import HANGUP, STOCK, MissingGunicorn, ServerFailed, Stack

Value = float

# Two latencies are called the same when neither is more than twice the other: below that they are noise.
_SAME_LATENCY = 2.0
_REWRITE = "\r\x1b[K"
_BETTER, _SAME, _WORSE = "", "same", "NOT BETTER"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        title: What is counted.
        name: The field of `Measurement`.
        combine: Makes one figure of those of all scenarios.
        latency: Whether it is a duration in seconds.
    """

    title: str
    name: str
    combine: Callable[[list[Value]], Value] = sum
    latency: bool = False

    def of(self, measured: Sequence[Measurement]) -> Value | None:
        """Return the figure for a stack, or None when no scenario looked."""
        values = [value for one in measured if (value := getattr(one, self.name)) is not None]
        return self.combine(values) if values else None

    def show(self, value: Value, cap: Value) -> str:
        """Return ``value`` for a reader; a latency of ``cap`` or more was not waited for any longer."""
        if not self.latency:
            return f"{value:,.0f}"
        if value >= cap:
            return f"> {cap:.0f} s"
        return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"

    def verdict(self, stock: Value, hangup: Value) -> str:
        """Return the mark of a row."""
        if self.latency and max(stock, hangup) <= _SAME_LATENCY * min(stock, hangup):
            return _SAME
        if abs(stock) == abs(hangup):
            return _SAME if stock == 0 else _WORSE
        return _BETTER if abs(hangup) < abs(stock) else _WORSE


def _largest(values: list[Value]) -> Value:
    return max(values, key=abs)


FIGURES = (
    Figure("bytes delivered to the wrong client", "foreign_bytes"),
    Figure("EBADF lines in the log", "ebadf_lines"),
    Figure("tracebacks in the log", "tracebacks"),
    Figure("innocent connections dropped or garbled", "dropped_innocents"),
    Figure("latency of a fresh request, worst", "fresh_latency_s", max, latency=True),
    Figure("first answer after the descriptor limit", "recovery_s", max, latency=True),
    Figure("latency on an idle server, for comparison", "idle_latency_s", max, latency=True),
    Figure("descriptors left", "fds_left"),
    Figure("worker deaths", "worker_deaths"),
    Figure("nr_conns drift, largest", "nr_conns_drift", _largest),
    Figure("stray bytes in the application's files", "stray_bytes"),
    Figure("HTTP bytes inside a WebSocket", "http_bytes_in_websocket"),
)


@dataclass(frozen=True)
class Outcome:
    """Everything one demonstration saw.

    Attributes:
        pairs: For each scenario and worker that ran on both stacks, the two measurements.
        skipped: What did not run because something is not there, and what.
        failed: What did not run to its end, and why.
        seconds: How long it took.
    """

    pairs: tuple[tuple[Measurement, Measurement], ...]
    skipped: tuple[str, ...]
    failed: tuple[str, ...]
    seconds: float

    @property
    def cap(self) -> Value:
        """Seconds after which a fresh request was given up."""
        return max((one.extra.get("cap_s", 0.0) for pair in self.pairs for one in pair), default=0.0) or 1e9

    def rows(self) -> Iterator[tuple[Figure, Value, Value]]:
        """Yield each figure with its value on stock and on hangup."""
        for figure in FIGURES:
            stock, hangup = (figure.of([pair[side] for pair in self.pairs]) for side in (0, 1))
            if stock is not None and hangup is not None:
                yield figure, stock, hangup


class Progress:
    """One line on standard error that says what is running; rewritten in place on a terminal."""

    def __init__(self, total: int) -> None:
        """Expect ``total`` steps."""
        self._total = total
        self._done = 0
        self._live = sys.stderr.isatty()

    def step(self, text: str) -> None:
        """Say that the step ``text`` begins."""
        self._done += 1
        line = f"[{self._done}/{self._total}] {text}"
        if self._live:
            # A line that wraps could not be rewritten.
            line = line[: shutil.get_terminal_size().columns - 1]
        self._write(f"{_REWRITE}{line}" if self._live else f"{line}\n")

    def end(self) -> None:
        """Remove the line from a terminal."""
        if self._live:
            self._write(_REWRITE)

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def run(scenarios: Sequence[Scenario], version: str | None) -> Outcome:
    """Run ``scenarios`` on stock gunicorn and on hangup.

    Args:
        scenarios: What to run, in this order.
        version: The gunicorn version; None for the installed one.
    """
    started = time.monotonic()
    plan: list[tuple[Scenario, Stack]] = []
    skipped: list[str] = []
    for scenario in scenarios:
        for worker in scenario.workers:
            stack = Stack(worker=worker, gunicorn=version)
            reason = scenario.missing(stack)
            if reason is None:
                plan.append((scenario, stack))
            else:
                skipped.append(f"{scenario.name} on {worker}: {reason}")
    progress = Progress(2 * len(plan))
    pairs: list[tuple[Measurement, Measurement]] = []
    failed: list[str] = []
    for scenario, stack in plan:
        found: list[Measurement] = []
        for name in (STOCK, HANGUP):
            label = f"{scenario.name} on {stack.worker}, {name}"
            progress.step(f"{label}: {scenario.title}")
            try:
                found.append(scenario.measure(dataclasses.replace(stack, name=name), scenario.rounds))
            except (ServerFailed, MissingGunicorn, OSError) as problem:
                failed.append(f"{label}: {problem}")
        if len(found) == 2:
            pairs.append((found[0], found[1]))
    progress.end()
    return Outcome(tuple(pairs), tuple(skipped), tuple(failed), time.monotonic() - started)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as plain data: "rows" as in the table, "measurements" as they were taken."""
    return {
        "python": platform.python_version(),
        "seconds": outcome.seconds,
        "rows": [
            {
                "figure": figure.name,
                "title": figure.title,
                "stock": stock,
                "hangup": hangup,
                "mark": figure.verdict(stock, hangup),
            }
            for figure, stock, hangup in outcome.rows()
        ],
        "measurements": [
            dataclasses.asdict(dataclasses.replace(one, log="")) for pair in outcome.pairs for one in pair
        ],
        "skipped": outcome.skipped,
        "failed": outcome.failed,
    }


def show(outcome: Outcome) -> None:
    """Print the table and what was left out of it."""
    cells = [
        (
            figure.title,
            figure.show(stock, outcome.cap),
            figure.show(hangup, outcome.cap),
            figure.verdict(stock, hangup),
        )
        for figure, stock, hangup in outcome.rows()
    ]
    _say(_heading(outcome))
    if importlib.util.find_spec("rich") is None:
        _show_plain(cells)
    else:
        _show_rich(cells)
    for line in outcome.skipped:
        _say(f"skipped: {line}")
    for line in outcome.failed:
        _say(f"FAILED: {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _heading(outcome: Outcome) -> str:
    versions = sorted({one.version for pair in outcome.pairs for one in pair})
    runs = f"{len(outcome.pairs)} runs on each stack in {outcome.seconds:.0f} s"
    return f"gunicorn {', '.join(versions) or '(none)'}, Python {platform.python_version()}, {runs}"


def _show_plain(cells: Sequence[tuple[str, str, str, str]]) -> None:
    table = [("", "stock", "hangup", ""), *cells]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for name, stock, hangup, mark in table:
        line = f"{name:<{widths[0]}} | {stock:>{widths[1]}} | {hangup:>{widths[2]}}  {mark}"
        _say(line.rstrip())


def _show_rich(cells: Sequence[tuple[str, str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("")
    table.add_column("stock", justify="right")
    table.add_column("hangup", justify="right")
    table.add_column("")
    for name, stock, hangup, mark in cells:
        style = {_WORSE: "bold red", _SAME: "dim"}.get(mark)
        table.add_row(name, stock, hangup, mark, style=style)
    Console().print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run, print; returns the exit status (see `hangup._demo.main`)."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="hangup demo", description="Compare gunicorn with and without hangup."
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--gunicorn", metavar="VERSION", help="a version unpacked in .gunicorn/VERSION")
    parser.add_argument("--only", metavar="SCENARIO", action="append", choices=names, help=", ".join(names))
    chosen = parser.parse_args(argv)
    wanted = [scenario for scenario in SCENARIOS if not chosen.only or scenario.name in chosen.only]
    outcome = run(wanted, chosen.gunicorn)
    if chosen.json:
        _say(json.dumps(as_json(outcome), indent=2))
    else:
        show(outcome)
    return 1 if outcome.failed else 0
