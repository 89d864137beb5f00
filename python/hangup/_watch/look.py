"""Looks at a service: from /proc, as a client, in its logs, in its counters. It changes nothing."""

from __future__ import annotations

import collections
import os
from dataclasses import replace
from typing import Any, Optional, Union

from .. import metrics
from . import control, gunicorn_facts, logs, outside, probes, processes, silence, sockets
from .attached import Attached
from .child import Child
from .processes import Process
from .settings import Settings
from .signals import Fault, Look, Probe, Rate, Worker

Service = Union[Attached, Child]

#: Seconds over which rates are counted.
_MINUTE = 60.0
#: Seconds without a heartbeat, where gunicorn's own timeout is not known: idle sync workers beat twice in that.
_LONG = 300.0


class Observer:
    """Looks at one service.

    Args:
        settings: what to ask, and how long.
        service: where its master is found.

    Attributes:
        facts: what is known of the gunicorn's settings.
        is_gunicorn: the master is one: its signals are known. To another process HUP may be the end.
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings = settings
        self._service = service
        self.facts: dict[str, Any] = {}
        self.is_gunicorn = False
        self.listeners: list[sockets.Listener] = []
        self.ports: list[int] = []
        self._family: set[int] = set()
        self._known: Optional[Process] = None
        self._websocket: Optional[probes.Where] = None
        self._tails: dict[str, logs.Tail] = {}
        self._counts: dict[str, collections.deque[tuple[float, int]]] = {}
        self._said: dict[str, tuple[float, Fault]] = {}
        self._dependencies = outside.Dependencies(outside.needs_of(settings.needs, {}))
        self._violations: Optional[int] = None

    def expect(self, words: list[str], environ: dict[str, str], directory: str) -> None:
        """What a gunicorn that is started so will do."""
        self.facts = gunicorn_facts.facts(words, environ, directory)
        self.ports = gunicorn_facts.ports(self.facts["bind"])
        needs = outside.needs_of(self._settings.needs, environ)
        self._dependencies = outside.Dependencies(needs)

    def resolved(self) -> Settings:
        """The settings; what they leave open is the gunicorn's own."""
        settings = self._settings
        return replace(
            settings,
            hung_after=settings.hung_after or max(30.0, self.facts.get("timeout", _LONG)),
            graceful=settings.graceful or self.facts.get("graceful_timeout", 30.0) + 10.0,
        )

    def look(self, at: float) -> Look:
        """The service now.

        Args:
            at: the time that the look gets.
        """
        master = self._service.master()
        rates = self._read_logs(master, at) + self._read_counters(master, at)
        if master is None:
            self.listeners = []
            faults = self._faults(at, None, True)
            ended = self._service.ended
            return Look(at, False, self._service.is_starting, ended, faults=faults, rates=rates)
        self._meet(master)
        held = processes.descriptors(master.pid)
        workers, family = self._workers(master)
        self.is_gunicorn = self.is_gunicorn or any(worker.beat is not None for worker in workers)
        self.listeners = self._listeners(master, held, workers)
        answered = self._probes(master)
        is_suspect = any(probe.outcome != "ok" for probe in answered)
        self._family = {master.pid, *(one.pid for one in family)}
        faults = self._faults(at, held, is_suspect)
        return Look(at, True, False, "", answered, tuple(workers), faults, rates)

    def _meet(self, master: Process) -> None:
        if self._known is None or (self._known.pid, self._known.started) != (master.pid, master.started):
            self._known = master
            self._violations = None
            self.is_gunicorn = processes.is_gunicorn(master.pid)
            words, environ = processes.command_line(master.pid), processes.environment(master.pid)
            try:
                directory = os.readlink(f"/proc/{master.pid}/cwd")
            except OSError:
                directory = "/"
            self.expect(words, environ, directory)

    def _workers(self, master: Process) -> tuple[list[Worker], list[Process]]:
        family = processes.children(master.pid)
        silences = silence.silences(self._tcp_ports())
        found = []
        for one in family:
            held = processes.descriptors(one.pid)
            beat = processes.heartbeat(one.pid, held)
            if beat is None and (held or not processes.is_gunicorn(one.pid)):
                continue  # a helper of the master's
            clients = [silences[inode] for inode in processes.inodes(held) if inode in silences]
            zombies = sum(seconds >= self._settings.silent_for for seconds in clients)
            found.append(
                Worker(
                    one.pid, one.started, one.state, beat, len(held),
                    processes.descriptor_limit(one.pid) if held else 0, one.resident,
                    len(clients) if held else None, zombies if held else None, control.answers(one.pid),
                )
            )  # fmt: skip
        pids = {worker.pid for worker in found}
        self._service.remember(one for one in family if one.pid in pids)
        return found, family

    def _tcp_ports(self) -> list[int]:
        return [int(one.address[1]) for one in self.listeners if not isinstance(one.address, str)]

    def _listeners(
        self, master: Process, held: dict[int, str], workers: list[Worker]
    ) -> list[sockets.Listener]:
        found = sockets.listeners_of(master.pid, held)
        if not found and workers:  # with reuse_port, workers have their own
            found = sockets.listeners_of(workers[0].pid, processes.descriptors(workers[0].pid))
        ports = [int(one.address[1]) for one in found if not isinstance(one.address, str)]
        self.ports = ports or self.ports
        return found

    def _probes(self, master: Process) -> tuple[Probe, ...]:
        settings = self._settings
        if settings.probe == "off":
            return ()
        place = self._place(master)
        if place is None:
            return (Probe("http", "unanswered", "gunicorn does not listen yet"),)
        first = probes.http(place, settings.timeout)
        if settings.websocket == "off" or first.outcome == "unanswered":
            return (first,)
        return (first, *self._websocket_probe(place))

    def _place(self, master: Process) -> Optional[probes.Where]:
        """Whom to ask; None while it does not listen: somebody else may answer at its port."""
        settings = self._settings
        address: Optional[sockets.Address] = None
        if self.listeners:
            address = sockets.reachable(self.listeners[0].address)
        elif self.ports and not processes.may_be_looked_into(master.pid):
            address = ("127.0.0.1", self.ports[0])
        if address is None or settings.probe:
            return probes.where(settings.probe, settings.host) if address is not None else None
        host = settings.host or ("localhost" if isinstance(address, str) else f"{address[0]}:{address[1]}")
        return probes.Where(address, "/", host)

    def _websocket_probe(self, place: probes.Where) -> tuple[Probe, ...]:
        """What was never opened is not missed, unless it was asked for."""
        wanted = self._settings.websocket
        path = probes.ENGINE_IO if wanted == "auto" else wanted
        if wanted == "auto" and self._websocket is None and "websocket" in self._counts:
            return ()
        answered = probes.websocket(place._replace(path=path), self._settings.timeout)
        if wanted == "auto" and self._websocket is None:
            self._counts["websocket"] = collections.deque()
            if answered.outcome != "ok":
                return ()
            self._websocket = place._replace(path=path)
        return (answered,)

    def _read_logs(self, master: Optional[Process], at: float) -> tuple[Rate, ...]:
        if self._settings.error_log:
            paths = [self._settings.error_log]
        elif master is not None:
            paths = logs.files_of(master.pid, processes.descriptors(master.pid))
        else:
            paths = list(self._tails)
        for path in paths:
            self._tails.setdefault(path, logs.Tail(path))
        if not self._tails:
            return ()
        errors, example = 0, ""
        for tail in list(self._tails.values()):
            said = logs.judge(tail.new())
            errors += said.errors.number
            example = said.errors.example or example
            for kind, line in said.outside.items():
                self._said[kind] = at, Fault(kind, f"{os.path.basename(tail.path)} says: {line}")
        return (Rate("errors", self._rate("errors", at, errors), example),)

    def _read_counters(self, master: Optional[Process], at: float) -> tuple[Rate, ...]:
        if master is None:
            return ()
        try:
            total = metrics.read(master.pid).total.get("ownership_violations", 0)
        except (LookupError, OSError, NotImplementedError):
            return ()
        new = 0 if self._violations is None else max(0, total - self._violations)
        self._violations = total
        return (Rate("violations", self._rate("violations", at, new)),)

    def _rate(self, name: str, at: float, new: int) -> float:
        counted = self._counts.setdefault(name, collections.deque())
        counted.append((at, new))
        while counted[0][0] <= at - _MINUTE:
            counted.popleft()
        return float(sum(count for _, count in counted))

    def _faults(self, at: float, held: Optional[dict[int, str]], is_suspect: bool) -> tuple[Fault, ...]:
        paths = [os.path.dirname(path) or "." for path in self._tails]
        if self._known is not None:
            paths += [f"/proc/{self._known.pid}/cwd", "/tmp"]
        found = [*outside.full_disks(paths), *self._dependencies.faults(is_suspect)]
        known = {fault.kind for fault in found}
        for kind, (said, fault) in self._said.items():
            if at - said < _MINUTE and kind not in known and is_suspect:
                found.append(fault)
        is_known = held is None or self._known is None or processes.may_be_looked_into(self._known.pid)
        if is_suspect and is_known and not self.listeners:
            orphans = {one.pid for one in processes.children(os.getpid())}
            found += outside.taken_ports(self.ports, {*self._family, *orphans, os.getpid()})
        return tuple(found)
