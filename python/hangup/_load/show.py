"""Reports for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from .._printable import printable
from . import bench, storm
from .requirements import Verdict
from .target import Target

if TYPE_CHECKING:
    from rich.table import Table

_PHASES = ("before", "during", "after")
#: Of fewer clients the memory of the run itself is the larger part.
_ENOUGH_TO_SHARE = 100
_MOST_ERRORS = 5


def bench_as_json(target: Target, mode: str, result: bench.Result) -> dict[str, Any]:
    """Of a bench."""
    return {
        "url": target.url,
        "protocol": target.protocol,
        "mode": mode,
        "remarks": list(target.remarks),
        "stages": [{**stage, "figures": bench.found(stage)} for stage in result.stages],
        "total": {**result.total, "figures": bench.found(result.total)},
        "timeline": result.timeline,
        "breaks_at": result.breaks_at,
        "recovered": result.recovered,
        "requirements": [verdict.as_json() for verdict in result.verdicts],
        "interrupted": result.interrupted,
        "passed": result.passed,
    }


def storm_as_json(target: Target, visited: Optional[Target], result: storm.Result) -> dict[str, Any]:
    """Of a storm."""
    return {
        "url": target.url,
        "protocol": target.protocol,
        "probe_url": visited and visited.url,
        "remarks": list(target.remarks),
        "seed": result.seed,
        **result.report,
        "figures": {phase: storm.found(result.report, phase) for phase in result.report["probe"]},
        "requirements": [verdict.as_json() for verdict in result.verdicts],
        "interrupted": result.interrupted,
        "passed": result.passed,
    }


def show_bench(target: Target, result: bench.Result) -> Iterator[Any]:
    """Of a bench: a row for each stage, failures by kind, and the verdict."""
    table = _table("", "clients", "connect", "answers", "/s", "p50", "p99", "max", "failed")
    for stage in result.stages:
        figures = bench.found(stage)
        table.add_row(
            _plain(stage["name"]),
            f"{stage['succeeded']}/{stage['clients']}",
            _time(figures["connect.p50"]),
            str(stage["answered"]),
            f"{figures['rate'] or 0:.0f}",
            *(_time(figures[name]) for name in ("p50", "p99", "max")),
            str(stage["failed"]),
        )
    yield from _head(target)
    yield table
    for stage in result.stages:
        yield from _errors(stage["errors"], f" in {stage['name']}" if len(result.stages) > 1 else "")
    yield from _memory(result.timeline)
    if result.breaks_at is not None and not result.interrupted:
        state = "serves again afterwards" if result.recovered else "does not serve afterwards either"
        yield f"Breaks at {result.breaks_at} clients; {state}."
    yield from _verdict(result.verdicts, result.interrupted)


def show_storm(target: Target, result: storm.Result) -> Iterator[Any]:
    """Of a storm: a row for each kind, what the server did to them, and how healthy clients fared."""
    table = _table("", "clients", "attempted", "connected", "refused", "left", "the server did", "open")
    for kind, counted in result.report["kinds"].items():
        table.add_row(
            kind,
            *(str(counted[name]) for name in ("clients", "attempted", "connected", "refused", "left")),
            _plain(", ".join(_deeds(counted)) or "-"),
            str(counted["open"]),
        )
    yield from _head(target)
    yield table
    for kind, counted in result.report["kinds"].items():
        yield from _errors(counted["refusals"] + counted["other"], f" for {kind}")
    if result.report["probe"]:
        yield ""
        yield _probe_table(result.report)
    for phase in _PHASES:
        probe = result.report["probe"].get(phase)
        yield from _errors(probe["errors"] if probe else [], f" for healthy clients {phase}")
    yield from _memory(result.report["timeline"])
    yield f"The same clients again: --seed {result.seed}"
    yield from _verdict(result.verdicts, result.interrupted)


def _probe_table(report: dict[str, Any]) -> Table:
    table = _table("healthy clients", "visits", "success", "p50", "p99", "max")
    for phase in _PHASES:
        probe = report["probe"].get(phase)
        if probe is not None:
            figures = storm.found(report, phase)
            times = (_time(figures[name]) for name in ("p50", "p99", "max"))
            table.add_row(phase, str(probe["visits"]), _percent(figures["success"]), *times)
    return table


def _deeds(counted: dict[str, Any]) -> Iterator[str]:
    """What a server did to the clients of a kind."""
    for status, count in counted["answered"].items():
        yield f"answered {status}: {count}"
    for said, count in counted["closed"].items():
        yield f"closed, {said}: {count}"
    if counted["reset"]:
        yield f"reset: {counted['reset']}"
    if counted["unanswered"]:
        yield f"no answer: {counted['unanswered']}"


def _head(target: Target) -> Iterator[str]:
    for remark in target.remarks:
        yield _plain(remark)
    yield f"{_plain(target.url)} ({target.protocol})"


def _errors(errors: list[dict[str, Any]], where: str) -> Iterator[str]:
    for error in errors[:_MOST_ERRORS]:
        detail = f": {error['detail']}" if error["detail"] else ""
        yield _plain(f"{error['count']} x {error['kind']}{where}{detail}")
    others = sum(error["count"] for error in errors[_MOST_ERRORS:])
    if others:
        yield f"{others} x others: -f json has all"


def _memory(timeline: dict[str, Any]) -> Iterator[str]:
    each = timeline.get("memory_per_client_bytes")
    if each and timeline["most_open"] >= _ENOUGH_TO_SHARE:
        yield f"{timeline['most_open']} clients at most; {each / 1024:.1f} KB of this process for each"


def _verdict(verdicts: list[Verdict], interrupted: bool) -> Iterator[str]:
    for verdict in verdicts:
        name = verdict.requirement.name
        if verdict.found is None:
            found = "nothing was measured"
        elif name in ("success", "errors"):
            found = _percent(verdict.found)
        else:
            found = f"{verdict.found:.0f}" if name == "rate" else _time(verdict.found)
        word = "[green]met[/]" if verdict.met else "[red]not met[/]"
        yield f"{_plain(verdict.requirement.text)}  {word} ({found})"
    if interrupted:
        yield "[red]Interrupted[/]: this is what was counted until then."


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        is_text = number == 0 or column == "the server did"
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    return table


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.1f}%" if value < 99.95 or value == 100 else "99.9%"


def _time(microseconds: Optional[float]) -> str:
    if microseconds is None:
        return "-"
    value, unit = (microseconds / 1e6, "s") if microseconds >= 1e6 else (microseconds / 1e3, "ms")
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def _plain(text: str) -> str:
    """Foreign text: no markup, and nothing that a terminal obeys."""
    from rich.markup import escape

    return escape(printable(text))
