"""``hangup doctor``: what is wrong with a deployment, found by reading it.

Promised
    Nothing of the application is run or imported: sources are parsed, frameworks are never loaded. What is computed
    when the application starts is said to be unknown, and no rule judges it. A file that cannot be read is a notice or
    a finding, whatever its bytes are. Where hangup mends something, its rule is silent.

How
    :mod:`.reading` turns files, command lines and ``/proc`` into :class:`.facts.Facts`; a rule in :mod:`.rules` is a
    function from these to findings, with its text beside it (:mod:`.registry`); :mod:`.mend` changes lines;
    :mod:`.document` makes ``docs/doctor.md``. ``manage.py check`` asks the same rules about its own settings.

Not promised
    That a deployment without findings is right: only what is written here is looked for. That several deployments in
    one folder are told apart: what is looked at together is taken for one.
"""

from __future__ import annotations

from .reading.gather import Asked, gather
from .registry import Finding, examine

__all__ = ["Asked", "Finding", "examine", "gather"]
