"""Load for ``hangup bench`` and ``hangup storm``.

Promised
    * Only this machine, unless a host is allowed by its name; other schemes than those that are spoken are refused.
    * A run can be interrupted, and its server may die: what was counted until then is the result.
    * Requirements are checked before the run for being requirements, and after it for being met.

How
    A command line becomes a plan, which is JSON (:mod:`.target`, :mod:`.bench`, :mod:`.storm`); ``_hangup.Load``
    carries it out on a native thread (``crates/hangup-load``), and :mod:`.run` asks how far it is.

Not promised
    TLS; redirects; cookies. What is measured is the server as this machine's loopback shows it.
"""

from __future__ import annotations


class Refused(ValueError):
    """What is asked for cannot be done; the message says what to change."""
