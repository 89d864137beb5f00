"""What a forked child forgets. The native part is not among Python's hooks: see ``crates/hangup-core/src/fork.rs``."""

from __future__ import annotations

import os
import sys

from . import _hangup


def _forget_reports() -> None:
    reports = sys.modules.get("hangup._reports")  # imported when there is something to report
    if reports is not None:
        reports.forget()


_hangup.watch_forks()
os.register_at_fork(after_in_child=_forget_reports)
