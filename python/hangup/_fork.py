"""What a forked child forgets. The native part is not among Python's hooks: see ``crates/hangup-core/src/fork.rs``."""

from __future__ import annotations

import os
import sys

from . import _hangup


def _forget() -> None:
    for name in ("_reports", "_leaks", "_endpoints", "_control.server"):
        module = sys.modules.get(f"hangup.{name}")  # imported when there is something to report
        if module is not None:
            module.forget()


_hangup.watch_forks()
os.register_at_fork(after_in_child=_forget)
