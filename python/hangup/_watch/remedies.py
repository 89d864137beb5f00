"""Does what was decided. Whom it concerns is looked up again right before, by number and start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Union

from . import control, processes
from .attached import Attached, CannotDo
from .child import Child
from .core import Decision
from .ladder import Rung
from .processes import Process
from .settings import Settings
from .signals import Look, Worker

_LOOKS_EVERY = 0.1
#: A worker beats once it has loaded the application.
_FRESH = 5.0


class Remedies:
    """What can be done to one service.

    Args:
        service: which.
        told: gets what is worth a line.
    """

    def __init__(self, service: Union[Attached, Child], told: Callable[[str], None]) -> None:
        self._service = service
        self._told = told

    def carry_out(self, decision: Decision, look: Look, settings: Settings) -> None:
        """Does what a decision to act says.

        Raises:
            CannotDo: it could not be done.
        """
        try:
            if decision.rung is Rung.RESTART:
                self._service.restart(self._told)
            elif decision.rung is Rung.RELOAD:
                self._told("asking the master to reload (HUP)")
                os.kill(self._master().pid, signal.SIGHUP)
            else:
                self._treat(decision, _worker(decision, look), look, settings)
        except control.CannotAsk as error:
            raise CannotDo(str(error)) from error
        except ProcessLookupError as error:
            raise CannotDo("the process has ended meanwhile") from error
        except PermissionError as error:
            raise CannotDo("this user may not send the process a signal") from error

    def _treat(self, decision: Decision, worker: Worker, look: Look, settings: Settings) -> None:
        if decision.rung is Rung.CLOSE:
            closed = control.close_silent(worker.pid, settings.silent_for)
            self._told(f"worker {worker.pid} closed {closed} silent connections")
        elif decision.rung is Rung.DRAIN:
            control.drain(worker.pid, settings.drain_within)
            self._told(f"worker {worker.pid} is sending its clients away, within {settings.drain_within:g} s")
        elif decision.rung is Rung.RECYCLE:
            self._recycle(worker, look, settings)
        else:
            self._told(f"killing worker {worker.pid}")
            _send(worker, signal.SIGKILL)

    def _recycle(self, worker: Worker, look: Look, settings: Settings) -> None:
        """TTOU ends the oldest worker, whoever is ill: only for that one there can be a successor first."""
        if worker == min(look.workers, key=lambda one: (one.started, one.pid)):
            master = self._master()
            before = {one.pid for one in look.workers}
            self._told(f"worker {worker.pid} gets a successor first (TTIN)")
            os.kill(master.pid, signal.SIGTTIN)
            successor = self._await(lambda: _beating(master, before), settings.boot_within)
            left = _workers(master)
            if successor and left and left[0].pid == worker.pid:
                self._told(f"worker {worker.pid} is to leave (TTOU)")
                os.kill(master.pid, signal.SIGTTOU)
                return
            self._told("there is one worker more than before, until the next HUP")
            if not successor:
                raise CannotDo("no successor came up")
            return
        self._told(f"worker {worker.pid} is to leave (TERM); the others serve meanwhile")
        _send(worker, signal.SIGTERM)

    def _master(self) -> Process:
        master = self._service.master()
        if master is None:
            raise CannotDo("the master has ended meanwhile")
        return master

    def _await(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end or self._service.master() is None:
                return False
            time.sleep(_LOOKS_EVERY)
        return True


def _worker(decision: Decision, look: Look) -> Worker:
    found = next((worker for worker in look.workers if worker.pid == decision.pid), None)
    if found is None:
        raise CannotDo("the worker has ended meanwhile")
    return found


def _workers(master: Process) -> list[Process]:
    """Those that have a heartbeat, the oldest first."""
    return [
        one
        for one in processes.children(master.pid)
        if processes.heartbeat(one.pid, processes.descriptors(one.pid)) is not None
    ]


def _beating(master: Process, before: set[int]) -> bool:
    """Whether a worker that was not there before is up: it beats a second after it was forked, or later."""
    for one in _workers(master):
        if one.pid in before:
            continue
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - one.started / os.sysconf("SC_CLK_TCK")
        beat = processes.heartbeat(one.pid, processes.descriptors(one.pid))
        if beat is not None and age - beat > 0.5 and beat < _FRESH:
            return True
    return False


def _send(worker: Worker, number: int) -> None:
    """To the worker, and to nobody who has its number now."""
    try:
        descriptor = os.pidfd_open(worker.pid)
    except OSError as error:
        raise CannotDo(f"worker {worker.pid}: {error.strerror or error}") from error
    try:
        found = processes.process(worker.pid)
        if found is None or found.started != worker.started:
            raise CannotDo(f"worker {worker.pid} has ended meanwhile")
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)
