"""All that is known of one client, or of one worker, in lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .. import metrics
from .._logs.text import escape
from . import descriptors
from .columns import NOTHING, duration, milliseconds, sid, size
from .reading import Reading, Worker, is_zombie


def find(reading: Reading, name: str) -> Optional[dict[str, Any]]:
    """The client with this sid (Socket.IO's or Engine.IO's), or, of a single worker, with this descriptor."""
    rows = reading.connections
    for row in rows:
        if name in (row["sid"], *row["sids"].values()):
            return row
    if name.isdecimal() and len(reading.workers) == 1:
        return next((row for row in rows if row["fd"] == int(name)), None)
    return None


def of_client(row: dict[str, Any]) -> Iterator[str]:
    """A row of ``hangup top``, with all that it has."""
    yield f"client {escape(sid(row))} of worker {row['worker']}"
    yield _line("transport", row["transport"] or row["kind"])
    yield _line(
        "descriptor", NOTHING if row["fd"] is None else f"{row['fd']} (connection {row['number'] or '?'})"
    )
    yield _line("peer", row["peer"])
    yield _line("Engine.IO", row["sid"])
    for namespace, name in row["sids"].items():
        rooms = [room for where, room in row["rooms"] if where == namespace]
        yield _line("Socket.IO", f"{name} in namespace {namespace}, rooms: {', '.join(rooms) or 'none'}")
    yield _line("since", f"{duration(row['age'])}; last read or written {duration(row['idle'])} ago")
    heard = "nothing is known" if row["silent"] is None else f"{duration(row['silent'])} ago"
    yield _line("heard", heard + (", a zombie" if is_zombie(row) else ""))
    yield _line("TCP", f"{row['state'] or NOTHING}, round trip {milliseconds(row['rtt'])} ms")
    yield _line("bytes", f"{size(row['received'])} received, {size(row['sent'])} sent")
    yield _line(
        "waiting",
        f"{size(row['queued'])} queued here, {size(row['notsent'])} in the kernel, "
        f"{NOTHING if row['unacked'] is None else row['unacked']} segments not acknowledged",
    )
    if row["closing"]:
        yield _line("closing", "its close was asked for")


def of_worker(worker: Worker, master: Optional[int]) -> Iterator[str]:
    """A worker: its process, its descriptors, its clients, and what it counted."""
    known = worker.process
    yield f"worker {known.pid}" + (f" of gunicorn {master}" if master else "")
    yield _line("runs", known.title)
    if known.unit:
        yield _line("unit", known.unit)
    yield _line("since", f"{duration(known.age)}; state {known.state}, user {known.uid}")
    yield _line(
        "uses", f"{known.cpu:.2f} s of processors, {size(known.rss)} of memory, {known.threads} threads"
    )
    if worker.why:
        yield _line("silent", worker.why)
    if worker.draining is not None:
        yield _line("draining", f"{duration(worker.draining)} left")
    try:
        held = descriptors.of(known.pid)
    except OSError as error:
        yield _line("descriptors", str(error.strerror or error))
    else:
        yield _line("descriptors", f"{len(held.targets)} of {held.limit}: {_counts(held.kinds())}")
    yield _line("clients", f"{len(worker.connections)}: {_counts(_by_transport(worker.connections))}")
    for name, count in sorted(_counted(known.pid).items()):
        if count:
            yield f"{count:>14}  {name}"


def _line(name: str, value: Any) -> str:
    return f"  {name:<12}{escape(value or NOTHING)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _by_transport(rows: list[dict[str, Any]]) -> dict[str, int]:
    names = [row["transport"] or row["kind"] for row in rows]
    return {name: names.count(name) for name in sorted(set(names))}


def _counted(pid: int) -> dict[str, int]:
    try:
        return metrics.read(pid).workers.get(pid, {})
    except (LookupError, OSError, NotImplementedError):
        return {}
