"""Decides: looks in, decisions out. It knows no clock but the looks', no file and no process.

How
    One *episode* at a time: the most urgent symptom that is raised, and the ladder that may treat it. After each rung
    the symptom has a time to clear; if it does, the episode is over, otherwise the next rung follows.
"""

from __future__ import annotations

import random
from typing import NamedTuple, Optional

from .budget import Backoff, Budget
from .episode import Episode
from .hysteresis import Gauge
from .ladder import LADDERS, Means, Rung, in_vain, objection
from .measures import Key, Measure, measures
from .settings import Settings
from .signals import Look, Worker

ORDER = tuple(LADDERS)
JITTER = 0.2
EVERYTHING = Means()
_DOWN: Key = ("down", None)


class Decision(NamedTuple):
    """What follows from a look.

    Attributes:
        at: the look's time.
        kind: ``well``; ``suspect``, something is bad and not yet raised; ``act``; ``verify``, a remedy has its time;
            ``recovered``; ``hold``, something is raised and nothing is done, for the reasons given.
        symptoms: those that are raised: ``hung``, or ``hung[4711]`` for a worker's.
        reasons: for people.
        skipped: rungs that were left out, and why.
        rung, pid: what to do, and to which worker.
        seconds: from the beginning of the episode, of what recovered; until something may change, of others.
    """

    at: float
    kind: str
    symptoms: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    rung: Optional[Rung] = None
    pid: Optional[int] = None
    seconds: float = 0.0


class Core:
    """The decisions about one service.

    Args:
        settings: thresholds and limits.
        means: what can be done at all.
        restarts, recycles: what was spent before.
        backoff: how far it is.
        at: now; the service may be starting.
        down_at_once: one look is enough to know that the master is gone: it was our child.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        means: Means = EVERYTHING,
        restarts: Optional[Budget] = None,
        recycles: Optional[Budget] = None,
        backoff: Optional[Backoff] = None,
        at: float = 0.0,
        down_at_once: bool = False,
        chance: Optional[random.Random] = None,
    ) -> None:
        self.settings = settings
        self.means = means
        self.restarts = restarts or Budget(settings.restarts, settings.window)
        self.recycles = recycles or Budget(settings.recycles, settings.window)
        self.backoff = backoff or Backoff(settings.backoff, settings.longest_backoff)
        self.has_answered = False
        self._boots_until = at + settings.boot_within
        self._well_since: Optional[float] = None
        self._down_at_once = down_at_once
        self._chance = chance or random.Random()
        self._gauges: dict[Key, Gauge] = {}
        self._episode: Optional[Episode] = None
        self._waiting: dict[Key, Episode] = {}
        self._given_up: set[Key] = set()

    def decide(self, look: Look) -> Decision:
        """What to do now. A decision to act is taken as done; see :meth:`was_not_done`."""
        seen = self._feed(look)
        raised = [key for key, gauge in self._gauges.items() if gauge.is_raised]
        raised.sort(key=lambda key: (ORDER.index(key[0]), key[1] or 0))
        self._given_up &= set(raised)
        self._remember_health(look, bool(raised))
        decision = self._treat(look, raised, seen)
        return decision._replace(symptoms=tuple(_name(key) for key in raised))

    def was_not_done(self, rest: float) -> None:
        """The last action was not carried out (a dry run): nothing harsher follows; it waits ``rest`` seconds."""
        if self._episode is not None:
            self._episode.undo(rest)

    def was_done(self, at: float) -> None:
        """The last action took until ``at``: its time begins only now."""
        episode = self._episode
        if episode is not None and episode.last is not None:
            episode.wait_until(at + self._patience(episode.key[0], episode.last))
            if episode.last in (Rung.RESTART, Rung.RELOAD):
                self._boots_until = episode.verified_at

    def could_not_be_done(self) -> None:
        """The last action failed: what is next need not wait for it."""
        if self._episode is not None:
            self._episode.wait_until(0.0)

    def _feed(self, look: Look) -> dict[Key, Measure]:
        seen = dict(measures(look, self.settings))
        if any(probe.outcome != "unanswered" for probe in look.probes):
            self.has_answered = True
        if look.at < self._boots_until and not self.has_answered:
            seen.pop(("unanswered", None), None)  # it is not up yet
        for key in set(self._gauges) - set(seen):
            if key[1] is not None:
                del self._gauges[key]
        for key, measure in seen.items():
            gauge = self._gauges.get(key)
            if gauge is None:
                gauge = self._gauges[key] = self._gauge(key[0])
            gauge.feed(is_bad=measure.is_bad, is_good=measure.is_good)
        return seen

    def _gauge(self, kind: str) -> Gauge:
        settings = self.settings
        if kind == "down" and self._down_at_once:
            return Gauge(1, 1, 1)
        return Gauge(settings.raise_after, settings.raise_of, settings.clear_after)

    def _remember_health(self, look: Look, is_ill: bool) -> None:
        """A service that was well for a whole window has served its time: the next restart need not wait."""
        if is_ill or not look.is_running:
            self._well_since = None
        elif self._well_since is None:
            self._well_since = look.at
        elif look.at - self._well_since >= self.settings.window:
            self.backoff.succeed()

    def _treat(self, look: Look, raised: list[Key], seen: dict[Key, Measure]) -> Decision:
        episode = self._episode
        if episode is not None and episode.key != _DOWN and _DOWN in raised:
            episode = self._episode = None  # nothing milder can help any more
        if episode is not None and episode.key not in raised and not self._is_booting(episode, look):
            self._episode = None
            return self._end(episode, look)
        over = next((key for key in self._waiting if key not in raised), None)
        if episode is None and over is not None:
            return self._end(self._waiting.pop(over), look)
        return self._treat_most_urgent(look, raised, seen)

    def _treat_most_urgent(self, look: Look, raised: list[Key], seen: dict[Key, Measure]) -> Decision:
        """The symptom that is being treated, then the others; those for which nothing can be done now have to wait."""
        treated = [self._episode.key] if self._episode is not None else []
        held: Optional[Decision] = None
        for key in [*treated, *(key for key in raised if key not in treated)]:
            if key in self._given_up:
                continue
            episode = self._episode or self._waiting.pop(key, None) or Episode(key, look)
            self._episode = episode
            decision = self._go_on(episode, look, seen)
            if decision.kind != "hold":
                return decision
            held = held or decision
            if key not in self._given_up:
                self._waiting[key] = episode
            self._episode = None
        return held or self._idle(look, raised, seen)

    def _go_on(self, episode: Episode, look: Look, seen: dict[Key, Measure]) -> Decision:
        measure = seen.get(episode.key)
        reasons = _reasons(episode.key, seen)
        episode.notice(measure)
        is_over_perhaps = measure is None or measure.is_good
        if is_over_perhaps or (look.at < episode.verified_at and not episode.fell_again(look)):
            return Decision(look.at, "verify", (), reasons, (), episode.last, episode.key[1],
                            episode.verified_at - look.at)  # fmt: skip
        return self._climb(episode, look, reasons)

    def _is_booting(self, episode: Episode, look: Look) -> bool:
        """A master that runs is no service yet."""
        return look.at < self._boots_until and self._is_silent(episode, look)

    def _is_silent(self, episode: Episode, look: Look) -> bool:
        """Whether what was started has not answered so far."""
        was_started = episode.last in (Rung.RESTART, Rung.RELOAD)
        return was_started and bool(look.probes) and not self.has_answered

    def _end(self, episode: Episode, look: Look) -> Decision:
        after = f"after {episode.last.name.lower()}" if episode.last else "by itself"
        if self._is_silent(episode, look):
            return Decision(look.at, "hold", (), (f"it runs {after}, and does not answer",))
        return Decision(look.at, "recovered", (), (f"{_name(episode.key)} is over, {after}",), (), episode.last,
                        episode.key[1], look.at - episode.began)  # fmt: skip

    def _idle(self, look: Look, raised: list[Key], seen: dict[Key, Measure]) -> Decision:
        if raised:
            reasons = tuple(text for key in raised for text in _reasons(key, seen))
            vain = tuple(fault.text for fault in look.faults)
            return Decision(look.at, "hold", (), (*reasons, *vain, "no remedy is left that would help"))
        bad = tuple(text for key, measure in seen.items() if measure.is_bad for text in _reasons(key, seen))
        return Decision(look.at, "suspect" if bad else "well", (), bad)

    def _climb(self, episode: Episode, look: Look, reasons: tuple[str, ...]) -> Decision:
        symptom, pid = episode.key
        skipped = []
        while episode.index < len(episode.ladder):
            rung = episode.ladder[episode.index]
            patient = episode.patient(rung, look)
            against = objection(symptom, rung, patient, episode.tried, self.means)
            if against is not None:
                skipped.append(f"{rung.name.lower()}: {against}")
                episode.skip()
                continue
            wait, why = self._obstacle(symptom, rung, look)
            if (
                wait and symptom == "unanswered" and rung is not Rung.RESTART
            ):  # a restart has a budget of its own
                skipped.append(f"{rung.name.lower()}: {why[0]}")
                episode.skip()
                continue
            if why:
                return Decision(look.at, "hold", (), (*reasons, *why), tuple(skipped), None, pid, wait)
            return self._act(episode, rung, patient, look, reasons, tuple(skipped))
        if episode.begin_again(look):
            return Decision(look.at, "verify", (), (*reasons, "it helped: the next worker is due"))
        return self._give_up(episode, look, reasons, tuple(skipped))

    def _obstacle(self, symptom: str, rung: Rung, look: Look) -> tuple[float, tuple[str, ...]]:
        """Seconds to wait, and why; no reasons: there is none."""
        vain = in_vain(symptom, rung, look)
        if vain:
            return 0.0, (*vain, f"to {rung.name.lower()} would not help")
        if rung is Rung.CLOSE:
            return 0.0, ()
        budget = self.restarts if rung is Rung.RESTART else self.recycles
        wait = budget.wait(look.at)
        if wait:
            return wait, (f"the budget is spent: {budget.most} in {budget.window:g} s",)
        wait = self.backoff.wait(look.at) if rung is Rung.RESTART else 0.0
        return wait, ((f"backing off after {self.backoff.attempts} restarts",) if wait else ())

    def _act(
        self,
        episode: Episode,
        rung: Rung,
        patient: Optional[Worker],
        look: Look,
        reasons: tuple[str, ...],
        skipped: tuple[str, ...],
    ) -> Decision:
        treated = patient.pid if patient is not None and rung < Rung.RELOAD else None
        patience = self._patience(episode.key[0], rung)
        episode.note_tried(rung, treated, look.at + patience)
        if rung is Rung.RESTART:
            self.restarts.spend(look.at)
            self.backoff.attempt(look.at, self._chance.uniform(-JITTER, JITTER))
        elif rung is not Rung.CLOSE:
            self.recycles.spend(look.at)
        if rung in (Rung.RESTART, Rung.RELOAD):
            self._boots_until, self.has_answered = episode.verified_at, False
        return Decision(look.at, "act", (), reasons, skipped, rung, treated, patience)

    def _patience(self, symptom: str, rung: Rung) -> float:
        settings = self.settings
        looks = settings.interval * (settings.clear_after + 1)
        graceful = settings.hung_patience if symptom == "hung" else settings.graceful or 40.0
        times = {
            Rung.CLOSE: settings.timeout,
            Rung.DRAIN: settings.drain_within,
            Rung.RECYCLE: graceful,
            Rung.KILL: settings.timeout,
        }
        return times.get(rung, settings.boot_within) + looks

    def _give_up(
        self, episode: Episode, look: Look, reasons: tuple[str, ...], skipped: tuple[str, ...]
    ) -> Decision:
        self._given_up.add(episode.key)
        self._episode = None
        return Decision(look.at, "hold", (), (*reasons, *episode.verdict()), skipped, None, episode.key[1])


def _name(key: Key) -> str:
    return key[0] if key[1] is None else f"{key[0]}[{key[1]}]"


def _reasons(key: Key, seen: dict[Key, Measure]) -> tuple[str, ...]:
    measure = seen.get(key)
    if measure is None or not (measure.text and (measure.is_bad or not measure.is_good)):
        return ()
    return (f"worker {key[1]}: {measure.text}" if key[1] is not None else measure.text,)
