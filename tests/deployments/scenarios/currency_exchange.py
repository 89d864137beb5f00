"""Customers who watch rates all day, phones that lose their network, and a monitor that restarts the service for it."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import websocket

from ..clients import Address, Refused, ask, get
from ..deployment import Deployment, Outcome
from ..machine import Machine
from ..rooms import Participant
from ..service import free_port
from ..site import HANGUP, Site

NAME = "currency-exchange"
_PROVOKES = ("KeyError: 'amount'", "ValueError: could not convert string to float: 'ten'")
_PATIENCE = 4.0
#: Seconds that a minute of the timer takes here.
_MINUTE = 3.0
_CUSTOMERS = 6
#: With the customers they are more than the worker's threads.
_PHONES = 8
#: Seconds: a client that answers no ping is to be let go well before the deadline.
_PING_INTERVAL, _PING_TIMEOUT, _DEADLINE = 5, 4, 15.0
_GONE = (OSError, Refused, websocket.WebSocketException)


@contextlib.contextmanager
def running(site: Site) -> Iterator[tuple[Machine, Address]]:
    """The service, as its unit starts it, behind nginx."""
    web, address = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    env = {
        "BIND": f"{web[0]}:{web[1]}", "METRICS": f"127.0.0.1:{free_port()}", "HEALTH_TIMEOUT": "1.5",
        "PING_INTERVAL": str(_PING_INTERVAL), "PING_TIMEOUT": str(_PING_TIMEOUT),
    }  # fmt: skip
    installed = {
        f"/srv/{NAME}/venv/bin/": "", f"/srv/{NAME}": str(site.folder), "127.0.0.1:8000": f"{web[0]}:{web[1]}",
    }  # fmt: skip
    with contextlib.closing(Machine(site, NAME, installed, env=env, minute=_MINUTE)) as machine:
        machine.start(web[1])
        replaced = {
            "server 127.0.0.1:8000": f"server {web[0]}:{web[1]}",
            "listen 80": f"listen {address[0]}:{address[1]}",
        }
        site.nginx("nginx.conf", replaced, address[1])
        yield machine, address


def play(site: Site, outcome: Outcome) -> None:
    """A quiet morning; then phones vanish, and customers and visitors go on."""
    with running(site) as (machine, address):
        site.surely(functools.partial(visit, address))
        outcome.before = site.settled(machine.current)
        with Customers(address, _CUSTOMERS) as customers, Visitors(address) as visitors:
            machine.run(_MINUTE)
            for _ in range(1 if site.quick else 3):
                with phones(address) as silent:
                    machine.run(2 * _MINUTE if site.quick else _DEADLINE)
                    held = sum(not phone.is_left() for phone in silent)
            if not (site.quick or machine.restarts):
                outcome.notes.append(
                    f"{held} of {len(silent)} silent phones were still held after {_DEADLINE:.0f} s"
                )
                outcome.complaints += held
            rotate(site, machine, address, outcome)
            machine.run(_MINUTE)
        outcome.tally([*customers.results, *visitors.results])
        outcome.complaints += customers.dropped
        if machine.restarts:
            outcome.notes.append(
                f"the monitor restarted the service {len(machine.restarts)} times: {_said(machine)}"
            )
        site.provoke(_PROVOKES[0], functools.partial(convert_nothing, address))
        site.provoke(_PROVOKES[1], functools.partial(convert_a_word, address))
        outcome.after = site.rest(outcome.before, machine.current, seconds=15)
        if site.variant == HANGUP:
            outcome.notes.append(f"the watch tells systemd: {machine.status}")
            outcome.notes.append(_descriptors(machine))


class Customers:
    """They watch the rates until the end; who is dropped comes back.

    Attributes:
        dropped: how often one of them was.
        results: None for each who was never dropped, and heard rates to the end.
    """

    def __init__(self, address: Address, count: int) -> None:
        self._address = address
        self._count = count
        self._leave = threading.Event()
        self._lock = threading.Lock()
        self.dropped = 0
        self.results: list[BaseException | None] = []

    def __enter__(self) -> Customers:
        """All of them have heard a rate."""
        self._hearing = threading.Barrier(self._count + 1, timeout=30)
        self._threads = [
            threading.Thread(target=self._watch, args=(number,)) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()
        self._hearing.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """They leave."""
        self._leave.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, number: int) -> None:
        failure: BaseException | None = None
        heard = 0
        while not self._leave.is_set():
            is_connected = False
            try:
                with Participant(self._address, patience=_PATIENCE, source=f"127.0.1.{number + 1}") as one:
                    one.call("subscribe")
                    is_connected = True
                    while not self._leave.is_set():
                        one.hear("rate")
                        heard += 1
                        if heard == 1:
                            self._hearing.wait()
            except _GONE as gone:
                failure = gone
                with self._lock:
                    self.dropped += is_connected
                self._leave.wait(0.3)
        with self._lock:
            self.results.append(failure)


class Visitors:
    """One after the other asks for a conversion, by HTTP and by WebSocket.

    Attributes:
        results: None for each who got it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._come)
        self.results: list[BaseException | None] = []

    def __enter__(self) -> Visitors:
        """They come."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No more of them."""
        self._leave.set()
        self._thread.join()

    def _come(self) -> None:
        while not self._leave.wait(0.2):
            try:
                visit(self._address, len(self.results))
                self.results.append(None)
            except _GONE as failure:
                self.results.append(failure)


def visit(address: Address, number: int) -> None:
    """Somebody converts an amount, twice."""
    get(address, "/convert?amount=10", timeout=_PATIENCE)
    with Participant(address, patience=_PATIENCE, source="127.0.2.1") as one:
        one.call("convert", {"pair": "EUR/USD", "amount": 10})["amount"]


@contextlib.contextmanager
def phones(address: Address) -> Iterator[list[Participant]]:
    """Some that are silent from one moment to the next, and one that is reset; nobody says goodbye."""
    with contextlib.ExitStack() as ending:
        silent = []
        for number in range(_PHONES):
            try:
                phone = Participant(address, patience=1.0, source=f"127.0.3.{number + 1}")
            except _GONE:
                continue  # it did not even come in
            if number:
                silent.append(phone)
                ending.callback(phone.vanish)
            else:
                phone.vanish()
        yield silent


def rotate(site: Site, machine: Machine, address: Address, outcome: Outcome) -> None:
    """logrotate, with the example's configuration: what comes afterwards is in the new file."""
    configuration = site.directory / "logrotate.conf"
    configuration.write_text(machine.here((site.folder / "logrotate.conf").read_text()))
    configuration.chmod(0o644)
    state = site.directory / "logrotate.state"
    done = subprocess.run(
        ["logrotate", "--force", "--state", str(state), str(configuration)],
        env={**site.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    log = Path(machine.here(f"/var/log/{NAME}/access.log"))
    with contextlib.suppress(Refused):
        get(address, "/convert?amount=4711", timeout=_PATIENCE)
    machine.run(0.5)
    if done.returncode or not log.exists() or "amount=4711" not in log.read_text():
        outcome.complaints += 1
        outcome.notes.append(f"the log is not rotated: {done.stderr.strip()}")


def convert_nothing(address: Address, number: int) -> None:
    """The handler fails."""
    with Participant(address, patience=_PATIENCE) as one:
        one.emit("convert", {"pair": "EUR/USD"})


def convert_a_word(address: Address, number: int) -> None:
    """The view fails."""
    ask(address, "GET", "/convert?amount=ten", timeout=_PATIENCE, expected=500)


def _descriptors(machine: Machine) -> str:
    """What is monitored: a line of the metrics."""
    host, _, port = machine.env["METRICS"].rpartition(":")
    told = get((host, int(port)), "/metrics").decode()
    return next(line for line in told.splitlines() if line.startswith("hangup_process_open_fds{"))


def _said(machine: Machine) -> str:
    return next((line for line in machine.journal.splitlines() if line.startswith("monitor:")), "it ended")


deployment = Deployment(
    name=NAME,
    complaint="Every few minutes everybody is disconnected: /health does not answer, and the monitor restarts the "
    "service, because of clients that are not even there any more",
    complains="customers disconnected",
    provokes=_PROVOKES,
    play=play,
)
