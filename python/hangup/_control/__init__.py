"""The control socket of a worker: what ``hangup top``, ``close``, ``drain`` and ``watch`` ask, and who may.

Promised
    * Every worker that :mod:`hangup.gunicorn` guards or observes answers, from its first request on until it is gone.
    * Only root and the worker's own user are answered; others are told that they are refused, and nothing else.
    * A request costs the worker nothing: one thread waits in ``accept(2)``, and runs when somebody asks. It is a real
      thread under gevent and eventlet too, and answers while the main thread is busy with Python.
    * Half, huge and meaningless messages are answered with an error, or not at all; a silent peer has
      :data:`.wire.PATIENCE` seconds. Nothing is left behind, also by a worker that was killed.

How
    The socket's name is in Linux's abstract namespace: there is no file, hence none to clean up, and no directory whose
    owner has to be checked. A random part keeps others from taking the name first; whoever asks looks it up in
    ``/proc/net/unix``, and has the kernel say (SO_PEERCRED) that it is the process it wants. The worker has the kernel
    say who asks.

Not promised
    Answers while the worker holds the interpreter's lock in native code: it is :class:`Silent` then. The counters
    are in memory (:mod:`hangup.metrics`), and what the kernel knows is in ``/proc``: both can be read nevertheless.
    Another network namespace than the worker's: ask from inside.
"""

from __future__ import annotations

from .client import ask as ask
from .errors import ControlError as ControlError
from .errors import Failed as Failed
from .errors import NobodyAnswers as NobodyAnswers
from .errors import Refused as Refused
from .errors import Silent as Silent

__all__ = ["ControlError", "Failed", "NobodyAnswers", "Refused", "Silent", "ask"]
