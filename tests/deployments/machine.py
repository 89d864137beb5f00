"""What systemd would do with the units of an example, in quicker time.

Promised
    * A unit's ``ExecStart`` is run as it stands there, with the directories that it asks for, and is up when it says
      ``READY=1``; a main process that ends is started again, as ``Restart=always`` says.
    * A timer's service is run as often as its ``OnUnitActiveSec`` says, with minutes that are shorter.
    * ``systemctl restart`` is heard: SIGTERM, and a new main process.

Not promised: anything else of systemd: users, control groups, dependencies, conditions.
"""

from __future__ import annotations

import configparser
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from hangup._demo.server import wait_until

from .service import Failed, Service
from .site import Site

_SYSTEMCTL = """#!/bin/sh
echo "$@" >> "{asked}"
"""


class Machine:
    """One, with the units of one service.

    Args:
        site: with the example.
        service: the name of the unit, without ``.service``; its timers are all there are.
        installed: where the units say that the example is, and where its programs are.
        env: besides what the unit sets.
        minute: seconds.

    Attributes:
        restarts: times at which the service was started again.
        journal: what was written by the services of timers.
        status: what the service said last of itself.
        env: the environment of all of them.
    """

    def __init__(
        self, site: Site, service: str, installed: Mapping[str, str], *, env: Mapping[str, str], minute: float
    ) -> None:
        self._site = site
        self._service = service
        self._minute = minute
        self._installed = dict(installed)
        self._asked = site.directory / "asked"
        self._notices = site.directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._notices))
        self._socket.setblocking(False)
        self._is_ready = False
        self._port = 0
        self._started = 0
        self.restarts: list[float] = []
        self.journal = ""
        self.status = ""
        self.env = {**env, **self._directories(), "PATH": self._programs()}
        self._due = dict.fromkeys(self._timers(), time.monotonic() + minute)

    def _directories(self) -> dict[str, str]:
        """Those that the unit asks for, here."""
        directories = {}
        for option, variable, at in (
            ("RuntimeDirectory", "RUNTIME_DIRECTORY", "/run"),
            ("LogsDirectory", "LOGS_DIRECTORY", "/var/log"),
            ("StateDirectory", "STATE_DIRECTORY", "/var/lib"),
        ):
            name = self.unit(f"{self._service}.service")["Service"].get(option)
            if name:
                here = self._site.directory / at.strip("/") / name
                here.mkdir(parents=True, exist_ok=True)
                self._installed[f"{at}/{name}"] = directories[variable] = str(here)
        return directories

    def _programs(self) -> str:
        programs = self._site.directory / "bin"
        programs.mkdir()
        (programs / "systemctl").write_text(_SYSTEMCTL.format(asked=self._asked))
        (programs / "systemctl").chmod(0o755)
        return os.pathsep.join([str(programs), self._site.environment["PATH"]])

    def _timers(self) -> list[str]:
        return [path.stem for path in self._units.glob("*.timer")]

    @property
    def _units(self) -> Path:
        return self._site.folder / "systemd"

    def unit(self, file: str) -> configparser.ConfigParser:
        """A unit, with the places of this machine."""
        return unit((self._units / file).read_text(), self._installed)

    def here(self, text: str) -> str:
        """With the places of this machine."""
        return _replaced(text, self._installed)

    @property
    def current(self) -> str:
        """The name of the service that runs, in the site."""
        return f"web-{self._started}"

    @property
    def service(self) -> Service:
        return self._site.services[self.current]

    def start(self, port: int) -> None:
        """Until it listens there, and says that it is ready.

        Raises:
            Failed: it does not.
        """
        described = self.unit(f"{self._service}.service")["Service"]
        self._port, self._is_ready = port, False
        self._started += 1
        env = {**self.env, "NOTIFY_SOCKET": str(self._notices)}
        if watchdog := described.get("WatchdogSec"):
            env["WATCHDOG_USEC"] = str(int(watchdog) * 1_000_000)
        command = shlex.split(described["ExecStart"])
        self._site.start(self.current, command, port, workers=1, env=env)
        if described.get("Type") == "notify" and not wait_until(self._hears_that_it_is_ready, 20, every=0.05):
            raise Failed(f"it does not say READY=1:\n{self._site.log()}")

    def run(self, seconds: float) -> None:
        """Does for that long what an init system does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for timer, due in self._due.items():
                if time.monotonic() >= due:
                    self._elapse(timer)
            self._hears_that_it_is_ready()
            if self._is_asked() or not self.service.processes():
                self._restart()
            time.sleep(0.05)

    def _elapse(self, timer: str) -> None:
        seconds = float(self.unit(f"{timer}.timer")["Timer"]["OnUnitActiveSec"])
        described = self.unit(f"{timer}.service")["Service"]
        done = subprocess.run(
            shlex.split(described["ExecStart"]), cwd=self._site.folder, env={**self._site.environment, **self.env},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.journal += done.stdout + done.stderr
        self._due[timer] = time.monotonic() + seconds / 60 * self._minute

    def _is_asked(self) -> bool:
        if not self._asked.exists():
            return False
        asked = self._asked.read_text()
        self._asked.unlink()
        return f"restart {self._service}" in asked

    def _restart(self) -> None:
        self.restarts.append(time.monotonic())
        self.service.stop()
        self.start(self._port)

    def _hears_that_it_is_ready(self) -> bool:
        while True:
            try:
                lines = self._socket.recv(4096).decode(errors="replace").splitlines()
            except BlockingIOError:
                return self._is_ready
            self._is_ready |= "READY=1" in lines
            self.status = next((line[7:] for line in lines if line.startswith("STATUS=")), self.status)

    def close(self) -> None:
        self._socket.close()


def unit(text: str, installed: Mapping[str, str]) -> configparser.ConfigParser:
    """A unit file, with other places; of an option that is set twice the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(_replaced(text, installed))
    return parser


def _replaced(text: str, installed: Mapping[str, str]) -> str:
    for there in sorted(installed, key=len, reverse=True):
        text = text.replace(there, installed[there])
    return text
