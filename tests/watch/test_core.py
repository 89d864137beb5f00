"""The decisions: no process, no clock, only looks in and decisions out."""

from __future__ import annotations

import random
from typing import Any, Optional

import pytest
from hangup._watch.budget import Backoff, Budget
from hangup._watch.core import Core, Decision
from hangup._watch.hysteresis import Gauge
from hangup._watch.ladder import LADDERS, Means, Rung
from hangup._watch.settings import Settings
from hangup._watch.signals import Fault, Look, Probe, Rate, Worker
from hypothesis import given, settings
from hypothesis import strategies as st

OK = (Probe("http", "ok"),)
SILENT = (Probe("http", "unanswered", "no answer within 5 s"),)
FAILING = (Probe("http", "failing", "503 from /"),)
SETTINGS = Settings(hung_after=30.0, graceful=40.0)


def worker(pid: int, **seen: Any) -> Worker:
    return Worker(pid, started=pid, limit=1000, **{"descriptors": 10, "connections": 5, "zombies": 0, **seen})


class Drive:
    """A core, and a clock of its own."""

    def __init__(self, **options: Any) -> None:
        self.settings = options.pop("settings", SETTINGS)
        self.core = Core(self.settings, chance=random.Random(1), **options)
        self.at = 0.0
        self.decisions: list[Decision] = []

    def see(self, times: int = 1, **seen: Any) -> Decision:
        for _ in range(times):
            look = Look(self.at, **{"probes": OK, "workers": (worker(1), worker(2)), **seen})
            self.decisions.append(self.core.decide(look))
            self.at += self.settings.interval
        return self.decisions[-1]

    def until(self, kind: str, most: int = 500, **seen: Any) -> Decision:
        for _ in range(most):
            decision = self.see(**seen)
            if decision.kind == kind:
                return decision
        raise AssertionError([found.kind for found in self.decisions[-5:]])

    @property
    def acts(self) -> list[tuple[Optional[Rung], Optional[int]]]:
        return [(found.rung, found.pid) for found in self.decisions if found.kind == "act"]


def test_nothing_is_done_while_the_service_is_well() -> None:
    drive = Drive()
    drive.see(1000)
    assert {found.kind for found in drive.decisions} == {"well"}


def test_two_bad_looks_of_five_are_not_enough() -> None:
    drive = Drive()
    for _ in range(100):
        drive.see(2, workers=(worker(1, beat=60.0), worker(2)))
        drive.see(3)
    assert drive.acts == []


def test_a_hung_worker_is_asked_to_leave_and_killed_if_it_does_not() -> None:
    drive = Drive()
    drive.see(3, workers=(worker(1), worker(2, beat=60.0)))
    assert drive.acts == [(Rung.RECYCLE, 2)]
    drive.until("act", workers=(worker(1), worker(2, beat=80.0)))
    assert drive.acts == [(Rung.RECYCLE, 2), (Rung.KILL, 2)]
    assert drive.until("recovered", workers=(worker(1), worker(3))).reasons


def test_zombies_are_closed_and_nothing_else_if_that_helps() -> None:
    drive = Drive()
    drive.until("act", workers=(worker(1, zombies=50, answers=True), worker(2)))
    assert drive.acts == [(Rung.CLOSE, 1)]
    drive.until("recovered", workers=(worker(1, answers=True), worker(2)))
    assert drive.acts == [(Rung.CLOSE, 1)]


def test_zombies_that_stay_are_drained_with_their_worker_then_it_is_recycled() -> None:
    drive = Drive()
    drive.until("hold", workers=(worker(1, zombies=50, answers=True), worker(2)))
    assert drive.acts == [(Rung.CLOSE, 1), (Rung.DRAIN, 1), (Rung.RECYCLE, 1), (Rung.KILL, 1)]


def test_a_stock_worker_with_zombies_is_left_alone_while_it_answers_and_why_is_said() -> None:
    drive = Drive()
    held = drive.until("hold", workers=(worker(1, zombies=50), worker(2)))
    assert drive.acts == []
    assert any("no control socket" in text for text in held.skipped)
    assert any("would be dropped" in text for text in held.skipped)


def test_a_leak_of_descriptors_goes_up_the_ladder_one_rung_at_a_time() -> None:
    drive = Drive()
    sick = (worker(1, descriptors=900, zombies=3, answers=True), worker(2))
    drive.until("hold", workers=sick)
    assert [rung for rung, _ in drive.acts] == [Rung.CLOSE, Rung.DRAIN, Rung.RECYCLE, Rung.KILL]


def test_between_the_two_thresholds_nothing_changes() -> None:
    drive = Drive()
    drive.see(100, workers=(worker(1, descriptors=790), worker(2)))
    assert drive.acts == []
    drive.until("act", workers=(worker(1, descriptors=810), worker(2)))
    drive.see(3, workers=(worker(1, descriptors=790), worker(2)))
    assert all(found.kind != "recovered" for found in drive.decisions)


def test_a_service_that_does_not_answer_is_reloaded_before_it_is_restarted() -> None:
    drive = Drive()
    drive.see()  # it has answered once
    drive.until("hold", probes=SILENT, most=2000)
    rungs = [rung for rung, _ in drive.acts]
    assert rungs[:4] == [Rung.RECYCLE, Rung.KILL, Rung.RELOAD, Rung.RESTART]
    assert rungs.count(Rung.RESTART) <= SETTINGS.restarts


def test_a_service_that_boots_is_given_its_time() -> None:
    drive = Drive()
    drive.see(11, probes=SILENT)
    assert {found.kind for found in drive.decisions} == {"well"}
    drive.until("act", probes=SILENT)
    assert drive.at > SETTINGS.boot_within


def test_a_crash_at_boot_is_tried_again_ever_more_slowly_until_the_budget_is_spent() -> None:
    drive = Drive(down_at_once=True, settings=Settings(interval=1.0, restarts=3))
    held = drive.until("hold", is_running=False, probes=())  # the first back-off
    assert drive.acts == [(Rung.RESTART, None)]
    drive.see(300, is_running=False, probes=())
    times = [found.at for found in drive.decisions if found.kind == "act"]
    assert len(times) == 3
    assert times[2] - times[1] > times[1] - times[0]
    assert any("budget" in text for text in drive.decisions[-1].reasons), held


def test_a_worker_that_fails_its_requests_is_replaced_once_to_see_whether_that_helps() -> None:
    drive = Drive()
    held = drive.until("hold", probes=FAILING)
    assert [rung for rung, _ in drive.acts] == [Rung.RECYCLE, Rung.KILL]
    drive.see(2000, probes=FAILING)
    assert len(drive.acts) == 2
    assert any("a restart would not help" in text for text in held.reasons)


def test_if_a_new_worker_helps_the_others_are_replaced_as_well() -> None:
    drive = Drive()
    drive.until("act", probes=FAILING)
    drive.see(1, workers=(worker(2), worker(3)))  # the new one answered
    drive.until("act", probes=FAILING, workers=(worker(2), worker(3)))
    assert drive.acts == [(Rung.RECYCLE, 1), (Rung.RECYCLE, 2)]


@pytest.mark.parametrize("probes", [SILENT, FAILING])
def test_what_is_broken_outside_is_not_mended_by_restarts(probes: tuple[Probe, ...]) -> None:
    drive = Drive()
    drive.see()
    down = (Fault("dependency", "redis://127.0.0.1:6379: Connection refused"),)
    drive.see(1000, probes=probes, faults=down)
    assert drive.acts == []
    assert any("refused" in text for text in drive.decisions[-1].reasons)
    drive.until("recovered")


def test_a_dependency_that_is_away_does_not_keep_a_hung_worker() -> None:
    drive = Drive()
    drive.see(3, workers=(worker(1, beat=60.0),), faults=(Fault("dependency", "away"),))
    assert drive.acts == [(Rung.RECYCLE, 1)]


def test_a_symptom_that_has_to_wait_does_not_keep_another_from_being_treated() -> None:
    drive = Drive()
    drive.see()
    away = (Fault("dependency", "away"),)
    drive.until("hold", probes=SILENT, faults=away)
    drive.until("act", probes=SILENT, faults=away, workers=(worker(1), worker(2, beat=60.0)))
    assert drive.acts == [(Rung.RECYCLE, 2)]
    drive.until("recovered", probes=SILENT, faults=away, workers=(worker(1), worker(3)))
    assert any("unanswered is over" in drive.until("recovered").reasons[0] for _ in range(1))


def test_a_dead_service_is_restarted_though_no_worker_may_be_recycled_any_more() -> None:
    drive = Drive(recycles=Budget(1, 600.0, [0.0]))
    drive.see()
    act = drive.until("act", probes=SILENT)
    assert act.rung is Rung.RESTART
    assert any("budget" in text for text in act.skipped)


def test_with_a_full_disk_only_silent_connections_are_closed() -> None:
    drive = Drive()
    full = (Fault("disk", "/var/log: no space is left"),)
    drive.see(200, workers=(worker(1, descriptors=950, zombies=5, answers=True),), probes=SILENT, faults=full)
    assert {rung for rung, _ in drive.acts} <= {Rung.CLOSE}


def test_nothing_is_started_while_somebody_else_has_the_port() -> None:
    drive = Drive(down_at_once=True)
    drive.see(500, is_running=False, probes=(), faults=(Fault("port", "port 80 belongs to process 1"),))
    assert drive.acts == []
    drive.until("act", is_running=False, probes=())
    assert drive.acts == [(Rung.RESTART, None)]


def test_what_systemd_is_starting_is_left_to_it() -> None:
    drive = Drive()
    drive.see(500, is_running=False, is_starting=True, probes=())
    assert drive.acts == []


def test_without_means_to_restart_it_says_so() -> None:
    drive = Drive(means=Means(restart=False))
    held = drive.until("hold", is_running=False, probes=())
    assert drive.acts == []
    assert any("unit" in text for text in held.skipped)


def test_errors_and_violations_are_told_and_not_treated() -> None:
    drive = Drive()
    drive.until("hold", rates=(Rate("errors", 500.0), Rate("violations", 100.0)))
    held = drive.see(2, rates=(Rate("errors", 500.0), Rate("violations", 100.0)))
    assert drive.acts == []
    assert any("500 errors a minute" in text for text in held.reasons)


def test_a_dry_run_stays_on_its_rung() -> None:
    drive = Drive()
    for _ in range(200):
        if drive.see(workers=(worker(1, zombies=50, answers=True), worker(2))).kind == "act":
            drive.core.was_not_done(60.0)
    assert {rung for rung, _ in drive.acts} == {Rung.CLOSE}


def test_what_was_spent_before_counts() -> None:
    drive = Drive(restarts=Budget(3, 600.0, [-1.0, -2.0, -3.0]), down_at_once=True)
    held = drive.see(is_running=False, probes=())
    assert (held.kind, drive.acts) == ("hold", [])
    assert 590 < held.seconds < 600


LOOKS = st.builds(
    dict,
    is_running=st.sampled_from([True] * 9 + [False]),
    probes=st.sampled_from([OK, OK, SILENT, FAILING]),
    faults=st.sampled_from([(), (), (), *((Fault(kind, "broken"),) for kind in ("disk", "dependency", "port"))]),
    workers=st.lists(
        st.builds(
            worker,
            pid=st.integers(1, 4),
            beat=st.sampled_from([0.0, 0.0, 60.0]),
            descriptors=st.sampled_from([10, 750, 900]),
            zombies=st.sampled_from([0, 19, 50]),
            answers=st.sampled_from([None, True, False]),
            state=st.sampled_from("SSSSTD"),
        ),
        max_size=4,
        unique_by=lambda one: one.pid,
    ).map(tuple),
)  # fmt: skip
#: The same look for a while, so that something is raised.
STORIES = st.lists(st.tuples(LOOKS, st.integers(1, 30)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(STORIES, st.integers(0, 3), st.booleans())
def test_whatever_happens_there_are_never_more_restarts_than_the_budget(
    story: list[tuple[dict[str, Any], int]], most: int, at_once: bool
) -> None:
    limits = Settings(
        hung_after=30.0, graceful=5.0, boot_within=10.0, restarts=most, recycles=4, window=300.0
    )
    drive = Drive(settings=limits, down_at_once=at_once)
    for seen, times in story:
        drive.see(times, **seen)
    for rungs, budget in (((Rung.RESTART,), most), ((Rung.DRAIN, Rung.RECYCLE, Rung.KILL, Rung.RELOAD), 4)):
        times_of = [found.at for found in drive.decisions if found.kind == "act" and found.rung in rungs]
        for at in times_of:
            assert len([other for other in times_of if at - 300.0 < other <= at]) <= budget


@settings(max_examples=60, deadline=None)
@given(STORIES)
def test_whatever_happens_nothing_harsher_is_tried_before_the_milder_had_its_time(
    story: list[tuple[dict[str, Any], int]],
) -> None:
    """Unless the master has gone, which nothing milder brings back."""
    drive = Drive()
    for seen, times in story:
        drive.see(times, **seen)
    acts = [found for found in drive.decisions if found.kind == "act"]
    for before, after in zip(acts, acts[1:]):
        recovered = any(
            found.kind == "recovered" and before.at < found.at <= after.at for found in drive.decisions
        )
        if not recovered and "down" not in after.symptoms:
            assert after.at - before.at >= before.seconds, (before, after)


@settings(max_examples=60, deadline=None)
@given(STORIES)
def test_only_what_is_allowed_for_a_raised_symptom_is_done(story: list[tuple[dict[str, Any], int]]) -> None:
    drive = Drive()
    for seen, times in story:
        drive.see(times, **seen)
    for found in drive.decisions:
        if found.kind == "act":
            kinds = {name.partition("[")[0] for name in found.symptoms}
            assert any(found.rung in LADDERS[kind] for kind in kinds), found
            assert found.reasons, found


@given(st.lists(st.booleans(), max_size=300))
def test_a_gauge_does_not_flap(bad: list[bool]) -> None:
    """Between two changes there are at least as many looks as its thresholds say."""
    gauge = Gauge(3, 5, 2)
    changes = [0]
    for number, is_bad in enumerate(bad):
        before = gauge.is_raised
        gauge.feed(is_bad=is_bad, is_good=not is_bad)
        if gauge.is_raised != before:
            changes.append(number)
    assert all(after - before >= 2 for before, after in zip(changes, changes[1:]))


@given(st.lists(st.integers(0, 10**6), max_size=200), st.integers(0, 5), st.integers(1, 10**4))
def test_a_budget_that_says_now_has_something_left(spends: list[int], most: int, window: int) -> None:
    budget = Budget(most, window)
    done: list[int] = []
    for at in sorted(spends):
        if budget.wait(at) <= 0:
            budget.spend(at)
            done.append(at)
    for at in done:
        assert len([other for other in done if at - window < other <= at]) <= most


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(2.0, 30.0)
    waits = []
    at = 0.0
    for _ in range(7):
        backoff.attempt(at, 0.0)
        waits.append(backoff.wait(at))
        at += waits[-1]
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    backoff.succeed()
    assert backoff.wait(at) == 0.0
