"""What the service manager is told, and asked: sd_notify(3), and ``systemctl``.

How
    The message is a datagram of a few words. It is sent from here and not by the crate sd-notify, which (0.5) takes an
    address that begins with ``@`` for a file's: abstract addresses, which container managers use, would not work.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Optional

#: What a child must not have: it would speak for us.
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_ANSWERS_WITHIN = 10.0
_LONGEST_STATUS = 400


class Notifier:
    """Speaks to the service manager, if there is one that listens."""

    def __init__(self, environ: Optional[dict[str, str]] = None) -> None:
        environ = dict(os.environ) if environ is None else environ
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._status = ""
        self.watchdog = self._period(environ) if path else 0.0

    @staticmethod
    def _period(environ: dict[str, str]) -> float:
        """Seconds within which a pet is expected of this process; 0: none is."""
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        if not usec.isdigit() or (pid and pid != str(os.getpid())):
            return 0.0
        return int(usec) / 1e6

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to speak to."""
        return bool(self._address)

    def send(self, *lines: str) -> bool:
        """Sends them in one message; whether it went out. Nobody waits for a manager that does not listen."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def status(self, text: str) -> None:
        """The line that ``systemctl status`` shows, when it has changed."""
        text = " ".join(text.split())[:_LONGEST_STATUS]
        if text != self._status and self.send(f"STATUS={text}"):
            self._status = text

    def reloading(self) -> None:
        """A reload has begun; READY ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def extend(self, seconds: float) -> None:
        """More time for what is under way."""
        self.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


class Petter:
    """Pets the watchdog at half its period, while somebody says that all is well."""

    def __init__(self, notifier: Notifier, is_well: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._is_well = is_well
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hangup-watchdog", daemon=True)
        if notifier.watchdog:
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._notifier.watchdog / 2):
            if self._is_well():
                self._notifier.send("WATCHDOG=1")

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()


class Unit(NamedTuple):
    """What systemd says of a unit.

    Attributes:
        main_pid: 0: none.
        active, sub, result: as ``systemctl show`` has them.
    """

    main_pid: int
    active: str
    sub: str
    result: str


def has_systemctl() -> bool:
    """Whether systemd can be asked: it runs this machine, and its tool is there."""
    return os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None


def unit(name: str, scope: tuple[str, ...] = ()) -> Optional[Unit]:
    """A unit's state; None: systemd does not answer."""
    command = ["systemctl", *scope, "show", "-p", "MainPID,ActiveState,SubState,Result", "--", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_ANSWERS_WITHIN, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    told = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if done.returncode or not told.get("MainPID", "").isdigit():
        return None
    return Unit(int(told["MainPID"]), told["ActiveState"], told.get("SubState", ""), told.get("Result", ""))
