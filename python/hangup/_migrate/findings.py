"""What was found, for people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: Threads for a worker that had none: of requests and handlers, as WebSockets hold no thread under hangup.
THREADS = "16"


class Finding(NamedTuple):
    """Something that a person has to decide.

    Attributes:
        kind: ``"blocker"``: it does not run without eventlet; or ``"hint"``: it runs, and should be looked at.
        path: below the folder.
        line: from one.
        what: as it stands there.
        do: the way out.
    """

    kind: str
    path: Path
    line: int
    what: str
    do: str


class Change(NamedTuple):
    """A file, before and after."""

    path: Path
    before: str
    after: str
