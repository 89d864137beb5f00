"""A gunicorn that is ours: started, signalled, started again, and asked for its exit status."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Optional

from . import orphans, processes, systemd
from .attached import CannotDo
from .ladder import Means
from .orphans import until
from .processes import Process

_PR_SET_CHILD_SUBREAPER = 36
_KILL_TAKES = 5.0
#: systemd passes sockets to the process with this number: the child's is not known before it is there.
_WITH_LISTEN_PID = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Child:
    """A master that this process started, or that took over from it (USR2).

    Args:
        command: its words.
        graceful: seconds for it to end.

    Attributes:
        ended: how it ended.
        status: with what exit status, as a shell has it; None: it runs.
        is_stopping: it is not to be started any more.
    """

    is_child = True
    is_starting = False
    means = Means()
    unit = None

    def __init__(self, command: list[str], graceful: float) -> None:
        self.command = command
        self.name = f"{' '.join(command)} in {os.getcwd()}"
        self.graceful = graceful
        self.ended = "it was not started"
        self.status: Optional[int] = None
        self.is_stopping = False
        self._leader: Optional[Process] = None
        self._master: Optional[Process] = None
        self._family: set[Process] = set()
        self._turn = threading.RLock()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def allow(self, graceful: float) -> None:
        """So many seconds for it to end."""
        self.graceful = graceful

    def start(self) -> None:
        """Starts it.

        Raises:
            CannotDo: there is no such program, or it may not be run.
        """
        environment = {name: value for name, value in os.environ.items() if name not in systemd.OURS}
        command = self.command
        if environment.get("LISTEN_PID") == str(os.getpid()):
            command = [sys.executable, "-c", _WITH_LISTEN_PID, *command]
        every = range(1, signal.NSIG)
        with self._turn:
            try:
                pid = os.posix_spawnp(
                    command[0], command, environment, setsid=True, setsigmask=(),
                    setsigdef=[number for number in every if number in (signal.SIGINT, signal.SIGPIPE)],
                )  # fmt: skip
            except OSError as error:
                self.status = 127
                raise CannotDo(f"{command[0]}: {error.strerror or error}") from error
            self.ended, self.status = "", None
            self._leader, self._master = processes.process(pid) or Process(pid, os.getpid(), "R", 0, 0), None

    def master(self) -> Optional[Process]:
        """It, if it runs."""
        self.reap()
        with self._turn:
            found = processes.process(self._leader.pid) if self._leader and self.status is None else None
            self._master = processes.served_by(found, self._master) if found is not None else None
            return self._master

    def remember(self, workers: Iterable[Process]) -> None:
        """Who belongs to it, should it end without them."""
        self._family = set(workers)

    def reap(self) -> None:
        """Takes note of who ended: the master, or orphans that came to us."""
        with self._turn:
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if not pid:
                    return
                if self._leader is not None and pid == self._leader.pid:
                    self._has_ended(status)

    def _has_ended(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.status = 128 - code if code < 0 else code
        self.ended = f"it ended with status {code}" if code >= 0 else f"it was ended by {_name(-code)}"
        heir = next((one for one in processes.children(os.getpid()) if processes.is_gunicorn(one.pid)
                     and processes.children(one.pid)), None)  # fmt: skip
        if heir is not None:
            self._leader, self._master, self.status, self.ended = heir, heir, None, ""

    def signal(self, number: int) -> None:
        """Sends it one, if it runs."""
        with self._turn:
            found = self.master()
            if found is not None:
                os.kill(found.pid, number)

    def restart(self, told: Callable[[str], None]) -> None:
        """Ends what is left of it, and starts it.

        Raises:
            CannotDo: it cannot be ended or started.
        """
        if self.master() is not None:
            told("asking the master to leave (TERM)")
            self.signal(signal.SIGTERM)
            if not self.wait(self.graceful):
                told(f"killing the master: it has not left within {self.graceful:g} s")
                self.signal(signal.SIGKILL)
                if not self.wait(_KILL_TAKES):
                    raise CannotDo("the master cannot be killed")
        self.end_orphans(told)
        if self.is_stopping:
            raise CannotDo("it is to stop")
        told(f"starting {' '.join(self.command)}")
        self.start()

    def wait(self, seconds: float) -> bool:
        """Waits for its end; whether it came."""
        return until(lambda: self.master() is None, seconds)

    def end_orphans(self, told: Callable[[str], None]) -> None:
        """Sees to it that nobody of its family is left."""
        orphans.end(self._orphans, self.graceful, told)

    def _orphans(self) -> set[Process]:
        """Those who were known, and those who came to us when their parent had ended."""
        self.reap()
        return {
            *self._family,
            *(one for one in processes.children(os.getpid()) if processes.is_gunicorn(one.pid)),
        }


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
