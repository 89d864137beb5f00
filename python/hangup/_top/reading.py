"""One look at a gunicorn, or at any process, and what changed since the last.

Promised
    Each process is shown as far as it lets us: its clients as it tells of them (``told``), its sockets as the kernel
    does (``kernel``), or itself alone. Nobody is waited for longer than :data:`PATIENCE`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Optional

from .. import metrics
from .._control import ControlError, ask
from . import processes, sockets

#: Seconds that a worker has for its answer.
PATIENCE = 2.0
#: Seconds without a word of a client's machine, behind which it is called a zombie.
ZOMBIE = 60.0
#: Counters of writes and reads that hangup kept from a wrong descriptor, and of clients that were gone.
PREVENTED = ("writes_prevented", "ownership_violations", "responses_refused")
GONE = ("peer_gone", "path_broken")
#: What is shown per second: the name here, and the counter.
RATES = {
    "messages_in": "messages_received",
    "frames_out": "frames_sent",
    "bytes_in": "websocket_bytes_received",
    "bytes_out": "websocket_bytes_sent",
    "accepted": "accepted",
}


class Worker(NamedTuple):
    """A process that has clients.

    Attributes:
        process: what ``/proc`` has of it.
        view: ``told``, ``kernel`` or ``none``: where its connections are from.
        why: it does not tell by itself; empty if it does.
        draining: seconds left of its drain; None if it is not drained.
        connections: see ``docs/top.md``; each with ``worker``, and ``rate_in`` and ``rate_out`` in bytes a second.
        listening: how many of its sockets listen.
    """

    process: processes.Process
    view: str
    why: str
    draining: Optional[float]
    connections: list[dict[str, Any]]
    listening: int = 0


class Reading(NamedTuple):
    """One look.

    Attributes:
        at: seconds since the epoch.
        master: gunicorn's, or the one process that is looked at.
        workers: the oldest first.
        totals: sums over the workers.
        counted: hangup's counters of the family; empty if it has none.
        rates: of :data:`RATES`, a second; empty the first time.
        changes: of every counter, a second; the same.
    """

    at: float
    master: processes.Process
    workers: list[Worker]
    totals: dict[str, Any]
    counted: dict[str, int]
    rates: dict[str, float]
    changes: dict[str, float]

    @property
    def connections(self) -> list[dict[str, Any]]:
        """Those of all workers."""
        return [row for worker in self.workers for row in worker.connections]


class Watcher:
    """Looks again and again.

    Args:
        pid: a gunicorn's master, one of its workers, or any process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._bytes: dict[Any, tuple[int, int]] = {}
        self._counted: dict[str, int] = {}
        self._at = 0.0

    def look(self) -> Reading:
        """One look.

        Raises:
            ProcessLookupError: the process is gone.
        """
        master = processes.look_at(self.pid)
        if master is None or master.state == "Z":
            raise ProcessLookupError(f"there is no process {self.pid}")
        pids = processes.workers_of(self.pid) or [self.pid]
        with ThreadPoolExecutor(max_workers=min(len(pids), 8)) as pool:
            workers = [worker for worker in pool.map(_look_at_worker, pids) if worker is not None]
        counted = _counted(self.pid)
        now = time.monotonic()
        lasted = now - self._at if self._at else 0.0
        changes = self._changes(counted, lasted)
        rates = {name: changes.get(counter, 0.0) for name, counter in RATES.items()} if changes else {}
        self._rate_connections(workers, lasted)
        self._counted, self._at = counted, now
        return Reading(time.time(), master, workers, _totals(workers), counted, rates, changes)

    def _changes(self, counted: dict[str, int], lasted: float) -> dict[str, float]:
        if not lasted or not self._counted:
            return {}
        return {name: (count - self._counted.get(name, 0)) / lasted for name, count in counted.items()}

    def _rate_connections(self, workers: Iterable[Worker], lasted: float) -> None:
        seen = {}
        for row in (row for worker in workers for row in worker.connections):
            key = row["worker"], row["number"] or row["sid"] or (row["fd"], row["peer"])
            seen[key] = now = row["received"] or 0, row["sent"] or 0
            before = self._bytes.get(key)
            row["rate_in"], row["rate_out"] = (
                (None, None)
                if before is None or not lasted
                else (max(now[0] - before[0], 0) / lasted, max(now[1] - before[1], 0) / lasted)
            )
        self._bytes = seen


def _look_at_worker(pid: int) -> Optional[Worker]:
    """None if it has ended."""
    process = processes.look_at(pid)
    if process is None:
        return None
    try:
        told = ask(pid, "snapshot", timeout=PATIENCE)
    except ControlError as error:
        return _from_outside(process, str(error))
    if told["mode"] != "on":
        return _from_outside(process, f"HANGUP={told['mode']}: its connections are not hangup's")
    rows = [{"worker": pid, **row} for row in told["connections"]]
    return Worker(process, "told", "", told["draining"], rows)


def _from_outside(process: processes.Process, why: str) -> Worker:
    try:
        found = sockets.of(process.pid)
    except OSError as error:
        return Worker(process, "none", f"{why}; {error.strerror or error}", None, [])
    rows = [_row(process.pid, one) for one in found if one.state != "listen"]
    return Worker(process, "kernel", why, None, rows, len(found) - len(rows))


def _row(pid: int, tcp: sockets.Tcp) -> dict[str, Any]:
    """In the words of what a worker tells of itself."""
    return {
        "worker": pid,
        "number": None,
        "fd": tcp.fd,
        "kind": "tcp",
        "transport": None,
        "peer": tcp.remote,
        "age": None,
        "idle": None,
        "silent": tcp.silent,
        "rtt": tcp.rtt,
        "received": tcp.received,
        "sent": tcp.sent,
        "queued": tcp.queued,
        "unacked": tcp.unacked,
        "notsent": tcp.notsent,
        "state": tcp.state,
        "closing": False,
        "sid": None,
        "sids": {},
        "rooms": [],
    }


def _counted(pid: int) -> dict[str, int]:
    try:
        return metrics.read(pid).total
    except (LookupError, OSError, NotImplementedError):
        return {}


def _totals(workers: list[Worker]) -> dict[str, Any]:
    rows = [row for worker in workers for row in worker.connections]
    queues = [row["queued"] or 0 for row in rows]
    known = [worker.process.open for worker in workers if worker.process.open is not None]
    limits = [worker.process.limit for worker in workers if worker.process.limit is not None]
    return {
        "workers": len(workers),
        "websockets": sum(row["transport"] == "websocket" for row in rows),
        "polling": sum(row["transport"] == "polling" for row in rows),
        "connections": sum(row["fd"] is not None for row in rows),
        "zombies": sum(is_zombie(row) for row in rows),
        "queued": sum(queues),
        "queued_max": max(queues, default=0),
        "open": sum(known) if known else None,
        "limit": min(limits) if limits else None,
        "states": {
            state: sum(row["state"] == state for row in rows)
            for state in sorted({row["state"] for row in rows if row["state"]})
        },
    }


def is_zombie(row: dict[str, Any]) -> bool:
    """Whether nothing was heard of a client for a minute: its machine answers not even the kernel."""
    return row["silent"] is not None and row["silent"] >= ZOMBIE


def as_json(reading: Reading) -> dict[str, Any]:
    """A reading, in what JSON knows."""
    return {
        "at": reading.at,
        "master": reading.master._asdict(),
        "workers": [
            {
                **worker.process._asdict(),
                "view": worker.view,
                "why": worker.why,
                "draining": worker.draining,
                "listening": worker.listening,
                "connections": len(worker.connections),
            }
            for worker in reading.workers
        ],
        "totals": reading.totals,
        "counted": reading.counted,
        "rates": reading.rates,
        "connections": reading.connections,
    }


def of_several(pids: list[int]) -> list[str]:
    """What tells masters apart, a line for each."""
    return [
        f"{pid}  {known.unit or '-'}  {known.title}"
        for pid in pids
        if (known := processes.look_at(pid)) is not None
    ]
