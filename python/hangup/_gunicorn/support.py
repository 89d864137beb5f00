"""Which gunicorn, and which worker, is known well enough to be guarded."""

from __future__ import annotations

import inspect
from typing import NamedTuple

OLDEST = (21, 0)
NEWEST_TESTED = 27

#: Worker classes that are guarded, by the name of their base in gunicorn: the parameters of ``handle``.
GUARDED = {
    "gunicorn.workers.sync.SyncWorker": ("listener", "client", "addr"),
    "gunicorn.workers.gthread.ThreadWorker": ("conn",),
    "gunicorn.workers.ggevent.GeventWorker": ("listener", "client", "addr"),
    "gunicorn.workers.geventlet.EventletWorker": ("listener", "client", "addr"),
}

#: Worker classes that are known, and left as they are.
LEFT_ALONE = {
    "gunicorn.workers.gtornado.TornadoWorker": "tornado owns its sockets in its IOLoop",
    "gunicorn.workers.gasgi.ASGIWorker": "asyncio owns its sockets in its transports",
    "uvicorn.workers.UvicornWorker": "uvicorn owns its sockets in asyncio transports",
    "uvicorn_worker._workers.UvicornWorker": "uvicorn owns its sockets in asyncio transports",
}


class Verdict(NamedTuple):
    """Whether a worker class is guarded.

    Attributes:
        base: the gunicorn class that it derives from, or an empty string.
        reason: why it is not guarded; empty if it is.
        known: False if hangup does not know what it is refusing.
    """

    base: str
    reason: str
    known: bool

    @property
    def guarded(self) -> bool:
        return not self.reason


def judge(version: str, worker_class: type) -> Verdict:
    """Decides on a worker class of gunicorn ``version`` (its ``__version__``)."""
    bases = [f"{cls.__module__}.{cls.__qualname__}" for cls in worker_class.__mro__]
    for base in bases:
        if base in LEFT_ALONE:
            return Verdict(base, LEFT_ALONE[base], known=True)
    numbers = _numbers(version)
    if not OLDEST <= numbers < (NEWEST_TESTED + 1,):
        return Verdict("", f"gunicorn {version} is not one of 21 to {NEWEST_TESTED}", known=False)
    for base, cls in zip(bases, worker_class.__mro__):
        if base in GUARDED:
            parameters = tuple(inspect.signature(cls.__dict__["handle"]).parameters)[1:]
            if parameters != GUARDED[base]:
                return Verdict(base, f"{base}.handle{parameters} is not the one hangup knows", known=False)
            return Verdict(base, "", known=True)
    return Verdict("", f"{bases[0]} derives from no worker that hangup knows", known=False)


def _numbers(version: str) -> tuple[int, ...]:
    leading = version.split("+")[0].split(".")[:2]
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in leading)
