"""Quiet about clients that left, loud about everything else: a filter for server loggers.

Promised: a record is taken for "a client left" by the exception it carries or, if it has a traceback only as text,
by the one that is being handled. That is so when the exception is

* a :class:`hangup.PeerGone`, :class:`hangup.ClosedHere` or :class:`hangup.Broken`; or
* an OSError whose errno says that a connection ended, raised and handled by the server alone: every frame of
  its traceback, and of whatever it was chained to, belongs to the modules that the logger's row in
  :data:`TABLE` names. One frame of application code, or none at all to judge by, and the record passes
  untouched: a database, a file or an upstream server that failed is the application's business; or
* one that only a client's connection raises (:data:`ENDINGS`).

Messages that never carry an exception are matched by their text, and only if the server's own code logs them.

EBADF, ENOTSOCK and :class:`hangup.OwnershipViolation`, alone or anywhere in the chain, always pass: they
are defects on our side. What is matched is always counted, once however many filters meet it: by the first of them, and
for the process. It is summed up in one line a minute; a forked child starts counting at zero.

How: a plain :class:`logging.Filter`, for a logger or a handler, without patching anything. gunicorn keeps
filters of its loggers when it sets them up and when it reloads. What never reaches logging is brought to it by
``hangup.install()``. ``docs/logging.md`` is the table, for operators.

Not: what the server itself already hides: gunicorn turns every ECONNRESET, EPIPE and ENOTCONN that reaches its worker
into a DEBUG line without an exception, an application's too. A filter cannot bring those back.
"""

from __future__ import annotations

from ._logs.endings import ENDINGS
from ._logs.filter import ACTIONS, DisconnectFilter, install, statistics, uninstall
from ._logs.judge import departure
from ._logs.rows import Source
from ._logs.table import TABLE
from ._logs.text import escape

__all__ = [
    "ACTIONS",
    "ENDINGS",
    "TABLE",
    "DisconnectFilter",
    "Source",
    "departure",
    "escape",
    "install",
    "statistics",
    "uninstall",
]
