"""Runs the scenarios and prints "stock | hangup".

Promised: one progress line at a time on standard error, one table (or JSON) on standard output, nothing
hard-coded. A scenario enters the table only if it ran on both stacks; what was left out is named below it.
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hangup._demo.scenarios import Measurement, Scenario
from hangup._demo.server import HANGUP, STOCK, MissingGunicorn, ServerFailed, Stack

if TYPE_CHECKING:
    from rich.console import Console

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


def show(outcome: Outcome, console: Console) -> None:
    """Print the table and what was left out of it."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    table.add_column("")
    table.add_column("stock", justify="right")
    table.add_column("hangup", justify="right")
    table.add_column("")
    for figure, stock, hangup in outcome.rows():
        mark = figure.verdict(stock, hangup)
        style = {_WORSE: "bold red", _SAME: "dim"}.get(mark)
        cells = (figure.show(value, outcome.cap) for value in (stock, hangup))
        table.add_row(figure.title, *cells, mark, style=style)
    console.print(_heading(outcome))
    console.print(table)
    for line in outcome.skipped:
        console.print(f"skipped: {escape(line)}")
    for line in outcome.failed:
        console.print(f"FAILED: {escape(line)}")


def _heading(outcome: Outcome) -> str:
    versions = sorted({one.version for pair in outcome.pairs for one in pair})
    runs = f"{len(outcome.pairs)} runs on each stack in {outcome.seconds:.0f} s"
    return f"gunicorn {', '.join(versions) or '(none)'}, Python {platform.python_version()}, {runs}"
