"""What the commands of frameworks print: ``manage.py hangup …``, ``flask hangup …``. Plain text, line by line."""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator
from typing import Optional

from . import metrics
from ._status import status
from .testing.census import fd_census


def doctor() -> Iterator[str]:
    """What is guarded here, and why not what is not."""
    told = status()
    yield f"hangup {told['version']}, HANGUP={told['mode']}"
    for name, facts in told["integrations"].items():
        more = [f"{key} {value}" for key, value in facts.items() if key not in ("state", "reason") and value]
        said = ", ".join(filter(None, [facts["reason"], *more]))
        yield f"{name}: {facts['state']}" + (f" ({said})" if said else "")


def findings() -> tuple[list[str], bool]:
    """What the rules of the doctor say of the current folder, and whether they found anything."""
    from ._doctor import Asked, examine, gather, report
    from ._doctor.registry import rules

    began = time.monotonic()
    facts = gather(Asked())
    found = examine(facts)
    lines = report.lines(facts, found, time.monotonic() - began, len(rules()))
    return [report.plain(line) for _, line in lines], bool(found)


def fds(pid: Optional[int] = None) -> Iterator[str]:
    """What a process holds open, and how many of each kind.

    Raises:
        OSError: there is no such process, or it is somebody else's.
    """
    census = fd_census(pid)
    kinds = collections.Counter(_kind(target) for target in census.values())
    for number, target in census.items():
        yield f"{number:>6}  {target}"
    yield ", ".join([f"{len(census)} open", *(f"{count} {kind}" for kind, count in kinds.most_common())])


def _kind(target: str) -> str:
    if target.startswith("anon_inode:"):
        return target.partition(":")[2].strip("[]")
    return target.partition(":")[0] if ":[" in target else "file"


def top(pid: Optional[int] = None, every: float = 1.0, times: int = 1) -> Iterator[str]:
    """What the workers of a family counted, and from the second time on how much each second.

    Args:
        pid: one of its processes, its master for instance.
        every: seconds between two readings.
        times: how many readings.

    Raises:
        LookupError: the process counts nothing, or does not exist.
    """
    before: dict[str, int] = {}
    for reading in range(times):
        if reading:
            time.sleep(every)
        family = metrics.read(pid)
        if reading:
            yield ""
        open_now = ", ".join(f"{worker}: {count['open']} open" for worker, count in family.workers.items())
        yield f"{len(family.workers)} processes ({open_now})"
        for name, total in sorted(family.total.items()):
            rate = f"{(total - before[name]) / every:>12.1f}/s" if name in before else ""
            if total:
                yield f"{total:>14}  {name}{rate}"
        before = family.total
