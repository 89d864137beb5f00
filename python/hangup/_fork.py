"""Registers the native fork hooks, once per interpreter."""

from __future__ import annotations

import os
import sys

from . import _hangup


def _forget_reports() -> None:
    reports = sys.modules.get("hangup._reports")  # imported when there is something to report
    if reports is not None:
        reports.forget()


os.register_at_fork(
    before=_hangup.before_fork,
    after_in_parent=_hangup.after_fork_in_parent,
    after_in_child=_hangup.after_fork_in_child,
)
os.register_at_fork(after_in_child=_forget_reports)
