"""Goes round: looks, decides, acts, tells.

How
    A remedy runs in a thread of its own, so that the looks, the watchdog's pets and the signals go on; nothing is
    decided until it is done. Signals for the child are passed on where they arrive, in the handler.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Optional, Union

from . import report, stale
from .attached import Attached, CannotDo
from .budget import Backoff, Budget
from .child import Child
from .core import Core, Decision
from .ladder import Rung
from .look import Observer
from .remedies import Remedies
from .settings import Settings
from .signals import Look
from .state import State, now
from .systemd import Notifier, Petter

Told = Callable[[dict[str, Any]], None]

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
)  # fmt: skip
_FAILED = 1
#: Seconds beyond gunicorn's own deadline for a child to end.
_MARGIN = 15.0
_EXTENDS_EVERY = 5.0
_RESTS = 60.0


class Watch:
    """The watch over one service.

    Args:
        settings: thresholds and limits; what they leave open is taken from the gunicorn.
        service: what is watched.
        state: what is remembered.
        told: gets each event that is worth a line.
        dry_run: nothing is done, and what would be is told.
        notifier: the service manager.
    """

    def __init__(
        self,
        settings: Settings,
        service: Union[Attached, Child],
        state: State,
        told: Told,
        *,
        dry_run: bool = False,
        notifier: Optional[Notifier] = None,
    ) -> None:
        self._settings = settings
        self._service = service
        self._state = state
        self._told = told
        self._is_dry = dry_run
        self._notifier = notifier or Notifier()
        self._observer = Observer(settings, service)
        self._remedies = Remedies(service, lambda text: told(report.note(text)))
        self._core = Core(
            settings,
            means=service.means,
            restarts=Budget(settings.restarts, settings.window, state.restarts),
            recycles=Budget(settings.recycles, settings.window, state.recycles),
            backoff=Backoff(settings.backoff, settings.longest_backoff, state.attempts, state.last),
            at=now(),
            down_at_once=service.is_child,
        )
        self._stopped_by: Optional[int] = None
        self._remedy: Optional[threading.Thread] = None
        self._outcome: Optional[str] = None
        self._before: tuple[Any, ...] = ()
        self._faults: tuple[str, ...] = ()
        self._watched = (0, 0)
        self._last = "watching"
        self._is_ready = False
        self._is_reloading = False
        self._is_well = True
        self._looked_at = now()

    def run(self) -> int:
        """Until it is told to stop, or nothing is left to watch; the exit status."""
        if self._state.problem:
            self._told(report.note(f"the budget will not be remembered: {self._state.problem}"))
        with self._signals() as woken:
            petter = Petter(self._notifier, self._may_pet)
            try:
                return self._run(woken)
            except BaseException:
                self._abandon()
                raise
            finally:
                petter.stop()

    def _abandon(self) -> None:
        """Nobody would look after the child any more: it ends with the watch."""
        if isinstance(self._service, Child):
            self._service.is_stopping = True
            self._service.signal(signal.SIGTERM)
            self._service.wait(self._core.settings.graceful)

    def _run(self, woken: socket.socket) -> int:
        if isinstance(self._service, Child):
            self._observer.expect(self._service.command, dict(os.environ), os.getcwd())
            self._resolve()
            self._clean()
            self._service.start()
            self._told(report.note(f"started {' '.join(self._service.command)}"))
        while self._stopped_by is None:
            status = self._round()
            if status is not None:
                self._notifier.send("STOPPING=1", "STATUS=ended")
                return status
            self._sleep(woken)
        return self._stop()

    def _round(self) -> Optional[int]:
        """One look and what follows; an exit status if it was the last one."""
        look = self._observer.look(now())
        if self._stopped_by is not None:
            return None
        self._looked_at = now()
        self._resolve()
        self._remember(look)
        self._tell_faults(look)
        if self._remedy is not None:
            self._finish_remedy()
        elif isinstance(self._service, Child) and self._service.status == 0:
            self._told(report.note("it ended by itself, with status 0"))
            return 0
        else:
            status = self._decide(look)
            if status is not None:
                return status
        self._notify(look)
        return None

    def _decide(self, look: Look) -> Optional[int]:
        decision = self._core.decide(look)
        self._is_well = not {"down", "unanswered"} & set(decision.symptoms) or bool(look.faults)
        if decision.kind == "act":
            self._say(decision, look)
            self._act(decision, look)
        else:
            likeness = report.likeness(decision)
            if likeness != self._before and decision.kind != "verify":
                if decision.kind != "well" or self._before[:1] not in ((), ("recovered",), ("well",)):
                    self._say(decision, look)
                self._before = likeness
        return self._verdict(decision, look)

    def _say(self, decision: Decision, look: Look) -> None:
        told = report.event(decision, look, dry_run=self._is_dry)
        self._last = report.line(told).partition(" ")[2]
        self._told(told)

    def _verdict(self, decision: Decision, look: Look) -> Optional[int]:
        """The exit status, if there is no point in going on."""
        if decision.kind != "hold" or "down" not in decision.symptoms or look.faults:
            return None
        if isinstance(self._service, Child):
            is_spent = self._core.restarts.wait(look.at) > 0
            return (self._service.status or _FAILED) if is_spent else None
        return _FAILED if self._service.is_gone_for_good else None

    def _act(self, decision: Decision, look: Look) -> None:
        if self._is_dry:
            self._core.was_not_done(_RESTS)
            return
        self._save()
        self._outcome = None
        if decision.rung in (Rung.RESTART, Rung.RELOAD):
            self._notifier.reloading() if decision.rung is Rung.RELOAD else None
            self._is_reloading = decision.rung is Rung.RELOAD
        self._remedy = threading.Thread(
            target=self._carry_out, args=(decision, look), name="hangup-remedy", daemon=True
        )
        self._remedy.start()

    def _carry_out(self, decision: Decision, look: Look) -> None:
        try:
            if decision.rung is Rung.RESTART:
                self._clean()
            self._remedies.carry_out(decision, look, self._core.settings)
        except CannotDo as error:
            self._outcome = str(error)

    def _finish_remedy(self) -> None:
        if self._remedy is None or self._remedy.is_alive():
            return
        self._remedy.join()
        self._remedy = None
        if self._outcome is None:
            self._core.was_done(now())
        else:
            self._told(report.note(self._outcome, "failed"))
            self._core.could_not_be_done()

    def _clean(self) -> None:
        """Takes away what a dead gunicorn left behind."""
        facts = self._observer.facts
        from .gunicorn_facts import unix_paths

        paths = [*self._settings.sockets, *unix_paths(facts.get("bind", ()), os.getcwd())]
        pid_files = [*self._settings.pid_files, *([facts["pidfile"]] if facts.get("pidfile") else [])]
        judge = partial(stale.judge_pid_file, known=self._state.masters)
        for path, verdict in [
            *((path, stale.clean(path, stale.judge_socket)) for path in paths),
            *((path, stale.clean(path, judge)) for path in pid_files),
        ]:
            if verdict is not None:
                done = "removed" if verdict.is_stale else "left"
                self._told(report.note(f"{done} {path}: {verdict.reason}"))

    def _resolve(self) -> None:
        """What depends on the gunicorn that is there now."""
        self._core.settings = self._observer.resolved()
        knows = self._observer.is_gunicorn
        self._core.means = self._service.means._replace(reload=knows, replace=knows)
        if isinstance(self._service, Child):
            self._service.allow(self._core.settings.graceful)

    def _remember(self, look: Look) -> None:
        master = self._service.master()
        if master is not None and (master.pid, master.started) != self._watched:
            self._watched = master.pid, master.started
            self._state.remember_master(master.pid, master.started)
            self._save()
            self._told(report.note(f"watching process {master.pid}"))

    def _save(self) -> None:
        core, at = self._core, now()
        self._state.restarts, self._state.recycles = core.restarts.spent(at), core.recycles.spent(at)
        self._state.attempts, self._state.last = core.backoff.attempts, core.backoff.last
        if not self._is_dry:
            self._state.save()

    def _tell_faults(self, look: Look) -> None:
        faults = tuple(sorted(fault.text for fault in look.faults))
        kinds = tuple(sorted(fault.kind for fault in look.faults))
        if kinds != self._faults:
            self._faults = kinds
            text = "; ".join(faults) or "nothing is wrong outside any more"
            self._told(report.note(text, "outside"))

    def _notify(self, look: Look) -> None:
        answers = bool(look.probes) and all(probe.outcome == "ok" for probe in look.probes)
        answers = answers or (not look.probes and bool(look.workers))
        speaks = answers or (bool(look.faults) and any(probe.outcome == "failing" for probe in look.probes))
        if speaks and look.is_running and (not self._is_ready or self._is_reloading):
            self._is_ready, self._is_reloading = True, False
            self._notifier.send("READY=1")
        elif not self._is_ready and look.faults:
            self._notifier.extend(3 * self._settings.interval + 2 * self._settings.timeout)
        self._notifier.status(report.status(look, self._last))

    def _may_pet(self) -> bool:
        """Not if the looks have stopped."""
        settings = self._settings
        is_fresh = now() - self._looked_at < 3 * settings.interval + 4 * settings.timeout + 10.0
        return is_fresh and (self._is_well or not self._service.is_child)

    def _stop(self) -> int:
        """Waits for the child."""
        self._notifier.send("STOPPING=1", "STATUS=stopping")
        if not isinstance(self._service, Child):
            return 0
        child = self._service
        if self._remedy is not None:  # it may just have started another one
            self._remedy.join(self._core.settings.graceful)
            child.signal(self._stopped_by or signal.SIGTERM)
        end = now() + self._core.settings.graceful + _MARGIN
        while child.master() is not None and now() < end:
            self._notifier.extend(2 * _EXTENDS_EVERY)
            child.wait(min(_EXTENDS_EVERY, max(0.0, end - now())))
        if child.master() is not None:
            self._told(report.note("killing the master, which has not left"))
            child.signal(signal.SIGKILL)
            child.wait(_EXTENDS_EVERY)
        child.end_orphans(lambda text: self._told(report.note(text)))
        return child.status if child.status is not None else _FAILED

    def _sleep(self, woken: socket.socket) -> None:
        pause = 0.2 if self._remedy is not None else self._settings.interval
        ready, _, _ = select.select([woken], [], [], pause)
        if ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Handlers, and a socket that is readable when a signal came."""
        woken, wakes = socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)
        handled = (*STOPPING, *PASSED_ON, signal.SIGCHLD)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        descriptor = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            woken.close()
            wakes.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number in STOPPING or (number == signal.SIGHUP and not self._service.is_child):
            self._stopped_by = number
        if number == signal.SIGCHLD or not isinstance(self._service, Child):
            return
        if number == signal.SIGHUP:
            self._is_reloading = True
            self._notifier.reloading()
        if number in STOPPING:
            self._service.is_stopping = True
        self._service.signal(number)
