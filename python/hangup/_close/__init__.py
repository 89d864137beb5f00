"""Closing clients of all workers of a gunicorn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .._control import ControlError, ask
from .._control.closing import Wanted
from .._logs.text import escape
from .._top.columns import duration, sid

#: Seconds that a worker has.
PATIENCE = 10.0


class Closed(NamedTuple):
    """What came of it.

    Attributes:
        closed: rows as in ``hangup top``, each with ``worker`` and ``how``.
        missing: names that no worker knows: ``{"sid": "..."}``.
        failed: the workers that could not be asked, and why.
    """

    closed: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    failed: dict[int, str]

    def lines(self) -> Iterator[str]:
        """For people."""
        for row in self.closed:
            name = escape(sid(row)) if row["sid"] else f"descriptor {row['fd']}"
            heard = "" if row["silent"] is None else f", silent for {duration(row['silent'])}"
            yield f"{name} of worker {row['worker']}, {escape(row['peer'] or '-')}{heard}: {row['how']}"
        for names in self.missing:
            for kind, value in names.items():
                yield f"{escape(value)}: there is no client with this {kind}"
        for pid, why in self.failed.items():
            yield f"worker {pid}: {escape(why)}"
        if not (self.closed or self.missing or self.failed):
            yield "nobody was meant"


def close(workers: Sequence[int], wanted: dict[str, Any], code: int, reason: str, dry_run: bool) -> Closed:
    """Closes what is wanted of each worker; with ``dry_run`` it is only looked for.

    Args:
        workers: their numbers.
        wanted: of :class:`hangup._control.closing.Wanted`.
        code: of the close frames.
        reason: the same.
        dry_run: nothing is done.
    """
    closed: list[dict[str, Any]] = []
    failed: dict[int, str] = {}
    lost: list[list[dict[str, Any]]] = []
    for pid in workers:
        try:
            done = _meant(pid, wanted) if dry_run else ask(
                pid, "close", timeout=PATIENCE, code=code, reason=reason, **wanted
            )  # fmt: skip
        except ControlError as error:
            failed[pid] = str(error)
            continue
        closed += [{"worker": pid, **row} for row in done["closed"]]
        lost.append(done["missing"])
    missing = [name for name in lost[0] if all(name in names for names in lost)] if lost else []
    return Closed(closed, missing, failed)


def _meant(pid: int, wanted: dict[str, Any]) -> dict[str, Any]:
    meant = Wanted(**wanted)
    names = set(meant.names)
    rows = []
    for row in ask(pid, "snapshot", timeout=PATIENCE)["connections"]:
        its = meant.names_of(row)
        names -= its
        if its or meant.is_overdue(row):
            rows.append({**row, "how": "would be closed"})
    return {"closed": rows, "missing": [{kind: name} for kind, name in sorted(names, key=repr)]}
