"""The table of ``make examples``: complaint, stock, hangup."""

from __future__ import annotations

from collections.abc import Sequence

from hangup._printable import printable
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .deployment import Outcome
from .runner import Row


def show(rows: Sequence[Row], console: Console) -> None:
    """For people."""
    table = Table(show_lines=True)
    for heading in ("complaint", "stock", "hangup"):
        table.add_column(heading)
    for row in rows:
        stock = _cell(row.stock, row.deployment.complains)
        if not row.reproduced and not row.stock.missing:
            stock += "\n[bold]not reproduced by this run[/bold]"
        complaint = f"[bold]{escape(row.deployment.name)}[/bold]\n{escape(row.deployment.complaint)}"
        table.add_row(complaint, stock, _cell(row.hangup, row.deployment.complains))
    console.print(table)
    seconds = sum(row.stock.seconds + row.hangup.seconds for row in rows)
    console.print(f"{len(rows)} of the deployments, twice each, in {seconds:.0f} s")


def _cell(outcome: Outcome, complains: str) -> str:
    if outcome.missing:
        return escape("\n".join(map(printable, f"not run: {outcome.missing}".splitlines()[-20:])))
    provoked = sum(outcome.provoked.values())
    before, after = outcome.before, outcome.after
    lines = [
        f"{outcome.complaints} {complains}",
        f"{outcome.succeeded} of {outcome.attempted} clients served ({outcome.success:.0f} %)",
        f"{sum(outcome.tracebacks.values())} tracebacks, {outcome.restarts} worker restarts",
        f"{provoked - outcome.hidden} of {provoked} real errors in the log",
        f"fds {before.fds} → {after.fds}, threads {before.threads} → {after.threads}, "
        f"RSS {before.rss // 1024} → {after.rss // 1024} MiB",
        *outcome.notes,
        *(f"{times} clients: {failure}" for failure, times in outcome.failures.most_common(2)),
        *(f"{times} x {line[:100]}" for line, times in outcome.tracebacks.most_common(3)),
    ]
    return escape("\n".join(map(printable, lines)))
