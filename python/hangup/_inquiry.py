"""What the commands of frameworks print: ``manage.py hangup …``, ``flask hangup …``. Plain text, line by line.

What ``top`` and ``fds`` find out is found out where ``hangup top`` and ``hangup fds`` have it from: :mod:`._top`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ._printable import printable
from ._status import status


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
    return [printable(line) for _, line in lines], bool(found)


def fds(pid: int) -> Iterator[str]:
    """What a process holds open, and how many of each kind.

    Raises:
        OSError: there is no such process, or it is somebody else's.
    """
    from ._top import descriptors

    return descriptors.lines(descriptors.of(pid))


def top(pid: int, every: float = 1.0, times: int = 1) -> Iterator[str]:
    """Its workers, their clients, what they counted, and from the second time on how much each second.

    Args:
        pid: gunicorn's master, one of its workers, or any process.
        every: seconds between two looks.
        times: how many.

    Raises:
        ProcessLookupError: it does not exist.
    """
    from ._top import table
    from ._top.reading import Watcher

    watcher = Watcher(pid)
    for look in range(times):
        if look:
            time.sleep(every)
            yield ""
        reading = watcher.look()
        yield from table.lines(reading, "queue", limit=table.LIMIT)
        yield from table.counted(reading)
