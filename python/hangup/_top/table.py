"""``hangup top`` as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from .._logs.text import escape
from .._procfs import is_gunicorn
from .columns import COLUMNS, cell, duration, head, matches, ordered, size
from .processes import Process, command_of
from .reading import GONE, PREVENTED, Reading, Worker

#: Rows, unless more are asked for.
LIMIT = 50


def summary(reading: Reading) -> list[str]:
    """What is true of all: two lines or three."""
    totals, master = reading.totals, reading.master
    name = master.unit or short(master)
    opened = "fds ?" if totals["open"] is None else f"fds {totals['open']} (limit {totals['limit']} each)"
    lines = [
        f"{escape(name)[:40]}  pid {master.pid}  up {duration(master.age)}  workers {totals['workers']}  "
        f"websockets {totals['websockets']}  polling {totals['polling']}  connections {totals['connections']}  "
        f"zombies {totals['zombies']}  {opened}",
    ]
    rates = reading.rates
    parts = [
        f"in {rates['messages_in']:.0f}/s {size(rates['bytes_in'])}B/s  "
        f"out {rates['frames_out']:.0f}/s {size(rates['bytes_out'])}B/s"
        if rates
        else "",
        f"queued {size(totals['queued'])}B (max {size(totals['queued_max'])}B)",
        prevented(reading),
    ]
    lines.append("  ".join(filter(None, parts)))
    return lines


def short(process: Process) -> str:
    """What it runs, in a few words: ``gunicorn app:app``."""
    words = command_of(process.pid)
    return f"gunicorn {words[-1]}" if len(words) > 1 and is_gunicorn(words) else process.title


def prevented(reading: Reading) -> str:
    """What hangup kept from happening, and how often a client was gone."""
    counted = reading.counted
    if not counted:
        return ""
    kept = sum(counted.get(name, 0) for name in PREVENTED)
    return f"prevented {kept}  gone {sum(counted.get(name, 0) for name in GONE)}"


def of_worker(worker: Worker) -> str:
    """A line for a process."""
    known = worker.process
    opened = "?" if known.open is None else f"{known.open}/{known.limit}"
    doing = "" if worker.draining is None else f"  draining, {duration(worker.draining)} left"
    why = f"  ({escape(worker.why)})" if worker.why else ""
    return (
        f"worker {known.pid}  up {duration(known.age)}  rss {size(known.rss)}  threads {known.threads}  "
        f"fds {opened}  connections {len(worker.connections)}{doing}{why}"
    )


def lines(reading: Reading, sort: str, text: str = "", limit: Optional[int] = None) -> Iterator[str]:
    """A reading, for people."""
    yield from summary(reading)
    yield from map(of_worker, reading.workers)
    rows = [row for row in ordered(reading.connections, sort) if not text or matches(row, text)]
    if rows:
        yield head().rstrip()
    for row in rows[:limit]:
        yield " ".join(cell(column, row) for column in COLUMNS).rstrip()
    if limit is not None and len(rows) > limit:
        yield f"… and {len(rows) - limit} more: --limit 0 shows all"


def counted(reading: Reading) -> Iterator[str]:
    """What hangup counted, but for what is zero."""
    for name, count in sorted(reading.counted.items()):
        if count:
            changed = reading.changes.get(name)
            yield f"{count:>14}  {name}" + ("" if changed is None else f"{changed:>12.1f}/s")
