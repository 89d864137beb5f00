"""Which gunicorn is meant, where none is named."""

from __future__ import annotations

import os
from typing import Optional

from .output import refuse


def the_master(pid: Optional[int]) -> int:
    """``pid``, or the only gunicorn there is; else the command ends with status 2, and says which there are."""
    from .._top import processes, reading

    if pid is not None:
        if not os.path.exists(f"/proc/{pid}"):
            refuse(f"there is no process {pid}")
        return pid
    found = sorted(processes.masters())
    if not found:
        refuse("no gunicorn runs here; --pid names any process")
    if len(found) > 1:
        from .._logs.text import escape

        names = "\n  ".join(map(escape, reading.of_several(found)))
        refuse(f"several gunicorns run here; --pid takes one of\n  {names}")
    return found[0]
