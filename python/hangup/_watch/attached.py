"""A gunicorn that somebody else started."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable
from typing import Optional

from . import orphans, processes, systemd
from .ladder import Means
from .processes import Process

_RESTARTS_WITHIN = 150.0
#: Seconds for workers whose master has ended.
_GRACEFUL = 30.0
_UNIT = re.compile(r"/([^/]+\.service)$", re.MULTILINE)


class CannotDo(Exception):
    """A remedy that failed; the message says why."""


class Attached:
    """A master that is found by its number, its pid file or its unit.

    Args:
        pid, pid_file, unit: one of them.
        restart_command: instead of ``systemctl restart``; without both there is no restart.

    Attributes:
        name: of the service, for its state.
        ended: what is wrong with it, if it does not run.
        is_starting: what it is, is somebody else's business: systemd starts it, or it was stopped on purpose.
    """

    is_child = False

    def __init__(
        self,
        pid: Optional[int] = None,
        pid_file: Optional[str] = None,
        unit: Optional[str] = None,
        restart_command: str = "",
    ) -> None:
        self.name = unit or (os.path.abspath(pid_file) if pid_file else f"pid {pid}")
        self.ended = ""
        self.is_starting = False
        self._pid = pid
        self._pid_file = pid_file
        self._command = restart_command
        self._leader: Optional[Process] = None
        self._master: Optional[Process] = None
        self._family: set[Process] = set()
        self.unit = unit or (unit_of(pid) if pid is not None else None)

    @property
    def means(self) -> Means:
        """What can be done about it."""
        return Means(restart=bool(self._command or (self.unit and systemd.has_systemctl())))

    @property
    def is_gone_for_good(self) -> bool:
        """It had a number only, has ended, and cannot be started again."""
        return self._pid_file is None and self.unit is None and not self.means.restart

    def master(self) -> Optional[Process]:
        """It, if it runs."""
        found = processes.same(self._leader) if self._leader is not None else None
        if found is None:
            found = self._leader = self._find()
        else:
            self.is_starting = False
        self._master = processes.served_by(found, self._master) if found is not None else None
        return self._master

    def _find(self) -> Optional[Process]:
        self.is_starting = False
        if self.unit is not None and systemd.has_systemctl():
            return self._of_unit(self.unit)
        if self._pid_file is not None:
            return self._of_pid_file(self._pid_file)
        if self._pid is None or self._leader is not None:  # the number may be somebody else's by now
            self.ended = f"process {self._pid} has ended"
            return None
        self.ended = f"there is no process {self._pid}"
        return processes.process(self._pid)

    def _of_unit(self, name: str) -> Optional[Process]:
        unit = systemd.unit(name)
        if unit is None:
            self.ended, self.is_starting = "systemd does not answer", True
            return None
        self.is_starting = unit.active != "failed"
        self.ended = f"unit {name} is {unit.active} ({unit.sub}, {unit.result})"
        return processes.process(unit.main_pid) if unit.main_pid and unit.active != "activating" else None

    def _of_pid_file(self, path: str) -> Optional[Process]:
        try:
            with open(path, "rb") as file:
                text = file.read(64).strip()
        except FileNotFoundError:
            self.ended, self.is_starting = f"{path} is not there: it was stopped, or not started yet", True
            return None
        except OSError as error:
            self.ended = f"{path}: {error.strerror or error}"
            return None
        found = processes.process(int(text)) if text.isdigit() and int(text) else None
        self.ended = "" if found else f"the process that {path} names does not run"
        return found

    def remember(self, workers: Iterable[Process]) -> None:
        """Who belongs to it, should it end without them."""
        self._family = set(workers)

    def restart(self, told: Callable[[str], None]) -> None:
        """By systemd, or by the command.

        Args:
            told: gets what is worth a line.

        Raises:
            CannotDo: it failed.
        """
        command = (
            shlex.split(self._command) if self._command else ["systemctl", "restart", "--", str(self.unit)]
        )
        if self._command and self.master() is None:  # systemd ends them itself
            orphans.end(lambda: self._family, _GRACEFUL, told)
        told(f"running {' '.join(command)}")
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_RESTARTS_WITHIN,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotDo(str(error)) from error
        if done.returncode:
            raise CannotDo(f"{command[0]} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        if self._pid_file is None and self.unit is None:
            told("its new number is not known: give --pid-file or --unit")


def unit_of(pid: int) -> Optional[str]:
    """The unit whose main process this is: what else runs in a unit must not be restarted with it."""
    found = _UNIT.search(processes.read(f"/proc/{pid}/cgroup"))
    if found is None or not systemd.has_systemctl():
        return None
    told = systemd.unit(found.group(1))
    return found.group(1) if told is not None and told.main_pid == pid else None
