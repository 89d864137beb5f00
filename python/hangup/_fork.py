"""Registers the native fork hooks, once per interpreter."""

from __future__ import annotations

import os

from . import _hangup, _reports

os.register_at_fork(
    before=_hangup.before_fork,
    after_in_parent=_hangup.after_fork_in_parent,
    after_in_child=_hangup.after_fork_in_child,
)
os.register_at_fork(after_in_child=_reports.forget)
