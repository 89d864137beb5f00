"""A gunicorn with several workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup import metrics
from hangup._demo.server import wait_until

WORKERS = 4


class Stack(NamedTuple):
    """A worker class, its arguments, and the gunicorn that has it."""

    worker: str
    mode: str
    version: str
    arguments: tuple[str, ...] = ()


GTHREAD = Stack("gthread", "threading", "27.0.1", ("--threads", "8"))
GEVENT = Stack("gevent", "gevent", "27.0.1")
SYNC = Stack("sync", "threading", "27.0.1")
OLDER = [
    Stack("gthread", "threading", "21.2.0", ("--threads", "8")),
    Stack("gthread", "threading", "23.0.0", ("--threads", "2", "--preload")),
    Stack("gevent", "gevent", "21.2.0"),
    Stack("gevent_pywsgi", "gevent", "27.0.1"),
    Stack("eventlet", "eventlet", "21.2.0"),
    Stack("sync", "threading", "21.2.0"),
]

EVERY_STACK = pytest.mark.parametrize(
    "stack",
    [GTHREAD, GEVENT, *(pytest.param(stack, marks=pytest.mark.slow) for stack in (SYNC, *OLDER))],
    ids=lambda stack: f"{stack.worker}-{stack.version}",
)


@contextlib.contextmanager
def serving(
    tmp_path: Path, stack: Stack, app: str, *arguments: str, workers: int = WORKERS, **env: str
) -> Iterator[Gunicorn]:
    """A gunicorn whose workers all serve."""
    pytest.importorskip(stack.mode if stack.mode != "threading" else "socketio")
    given = ("-k", stack.worker, *stack.arguments, "-w", str(workers), *arguments)
    configuration = ("-c", "python:hangup.gunicorn")
    with gunicorn(
        tmp_path, *configuration, *given, app=app, version=stack.version, MODE=stack.mode, **env
    ) as server:
        assert wait_until(lambda: server.log.count("Booting worker") == workers, 20), server.log
        server.ask()
        if env.get("HANGUP") != "off":
            assert wait_until(lambda: len(metrics.read(server.process.pid).serving) == workers, 20), (
                server.log
            )
        yield server
