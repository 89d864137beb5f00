"""Whose requests leave descriptors behind.

Promised
    An endpoint is named in one WARNING when it leaves descriptors behind again and again; :func:`figures` has
    the figures before that. What a request opens for others (a pool, a rotated log, a thread's own connection) is
    not blamed on it.

How
    A count of the process's descriptors (fstat of ``/proc/self/fd``) says whether something foreign appeared: after
    one of :data:`CALM` requests, and at both ends of each one for a while once something has. Then, for at most a
    fiftieth of the time, a census says what. It is a suspect: of the requests that ran when it appeared. It counts once
    it has survived :data:`SURVIVES` requests behind the last of these. An endpoint is named when

    * its survivors are more than pools and threads explain (one for each request that ever ran at the same
      time, or for each thread, and :data:`ALLOWANCE`),
    * they came all along, not at the beginning,
    * nobody has used any of them since, and hardly one was closed later,
    * they appeared in requests, not between them, and in its requests rather than in those of others,
    * and a garbage collection does not close them.

Not promised
    A leak of less than one descriptor in :data:`RARE` requests, one in a background thread, and which endpoint
    it is if two always run at the same time. Kernels before 6.2 do not count: there, nothing is found.
"""

from __future__ import annotations

import collections
import gc
import itertools
import logging
import math
import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple, Optional

from . import _hangup, _routes
from ._suspects import Known, Survivor, Suspect, Window, examples_of, is_client, survivor_of

logger = logging.getLogger("hangup")

#: Survivors that are nobody's fault: at least so many, and so many besides one for each request or thread.
LEAST, ALLOWANCE = 5, 2
#: Survivors for which nobody else can be blamed: then those that anybody could have left are its own, too.
ALONE = 3
#: Threads that run nothing of the application's.
OURS = ("hangup-log", "hangup-timer", "hangup-watch")
#: Requests that a descriptor must survive.
SURVIVES = 32
#: Names that are kept apart, and what requests of further ones are called.
NAMES, OTHERS = 256, "(others)"
#: Survivors that are kept.
KEPT = 1024
#: Requests that may run at a time.
MOST_RUNNING = 100_000
#: The share of the time that censuses may take is one of so many, and so many may follow at once on what appears. Half
#: of these are kept for that.
SHARE, BURST = 50, 20
#: Requests behind an appearance that are all looked at: at least, and at most, where it survives and is rare. Of the
#: others one of so many is: a look takes the time of some lines of the application.
ALERT, REACH, CALM = 1_000, 100_000, 64
#: Requests of an endpoint among which one leak is told from none.
RARE = 10_000
#: Requests after which everything is judged, also if nothing has changed.
JUDGE = 64
#: One of so many requests is a sample of what usually runs.
CONTROL = 8
#: Seconds after which a request that runs is not waited for: what appears beside it may be its own, whatever
#: it is called.
LONG = 10.0
#: Chance with which an innocent endpoint may be found at so many appearances.
CHANCE = 1e-9


class Endpoint(NamedTuple):
    """What the requests of an endpoint leave behind.

    Attributes:
        name: the method, and the route, or what its path looks like.
        requests: that have ended.
        left_behind: descriptors that appeared in its requests and survived them, and that are still open.
        returned: those that were closed later.
        is_leaking: it was named.
        examples: what they are.
    """

    name: str
    requests: int
    left_behind: int
    returned: int
    is_leaking: bool
    examples: tuple[str, ...]


class Tracker:
    """Of one process. Nobody waits for it: what one thread is at, others leave out."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        #: Since when, and of which windows they are.
        self._running: dict[Hashable, float] = {}
        self._windows: dict[Hashable, list[Window]] = {}
        #: Those that do not run any more, and for which nobody has looked yet.
        self._ending: set[Hashable] = set()
        self._endpoints: dict[str, Known] = {}
        self._suspects: dict[tuple[int, Any], Suspect] = {}
        self._survivors: dict[tuple[int, Any], Survivor] = {}
        self._census = _hangup.Foreign()
        self._is_first, self._is_of_hub = True, False
        self._finished = self._controls = self._crowd = 0
        #: Requests that had ended at the last census, and when the count was last the same as then.
        self._looked_at = self._same_at = 0
        #: Descriptors that are not hangup's: at the last census, and when they were counted last.
        self._foreign, self._last, self._looks = -1, (-1, -1), itertools.count()
        self._alert, self._step, self._appeared_at = ALERT, 1, 0
        #: Descriptors that appeared between requests, but clients that a hub accepted are not among them.
        self._excused = 0
        #: Seconds of a census, those that may be spent on more of them, and when that was reckoned.
        self._cost = self._budget = self._reckoned = 0.0

    def take_over(self) -> None:
        """A client of a hub becomes hangup's, which may have been found between requests."""
        self._excused, self._is_of_hub = max(0, self._excused - 1), True

    def begin(self, request: Hashable) -> None:
        """A request begins."""
        running = self._running
        if len(running) > MOST_RUNNING:  # of a server that does not say when requests end
            running.clear()
            self._windows.clear()
        if self._finished < self._alert:  # what is there already is not this one's
            self._look(is_between=not (running or self._ending))
        running[request] = time.monotonic()
        if len(running) > self._crowd:
            self._crowd = len(running)

    def end(self, request: Hashable, name: str) -> None:
        """It has ended."""
        known = self._endpoints.get(name) or self._meet(name)
        known.requests += 1
        finished = known.latest = self._finished = self._finished + 1
        self._ending.add(request)
        self._running.pop(request, None)
        if request in self._windows:
            self._leave(self._windows.pop(request, ()), known)
        if not finished % CONTROL:
            control = Window({known.name: known.requests}, is_control=True)
            self._attach(control, time.monotonic())
            if not control.pending:
                self._count_control(control)
        if not finished % self._step:
            self._look()
        self._ending.discard(request)

    def _meet(self, name: str) -> Known:
        if len(self._endpoints) >= NAMES:
            name = OTHERS
        return self._endpoints.setdefault(name, Known(name))

    def _leave(self, windows: Iterable[Window], known: Known) -> None:
        for window in windows:
            window.names.setdefault(known.name, known.requests)
            window.pending -= 1
            window.settled = self._finished
            if window.is_control and not window.pending:
                self._count_control(window)

    def _add_ended(self, window: Window, since: int) -> None:
        """Has the endpoints be of the window whose requests have ended since so many had."""
        for known in list(self._endpoints.values()):
            if known.latest > since:
                window.names.setdefault(known.name, known.requests)
        window.ended = self._finished - since

    def _count_control(self, window: Window) -> None:
        self._controls += 1
        for name in window.names:
            self._endpoints.setdefault(name, Known(name)).controls += 1

    def _attach(self, window: Window, now: float) -> None:
        """Has the requests that run be of the window."""
        for request in list(self._running):  # pairs would be made, and a collection let others run meanwhile
            since = self._running.get(request, math.inf)
            if now - since > LONG:
                window.names[OTHERS] = 0
            elif request in self._running:
                self._windows.setdefault(request, []).append(window)
                window.pending += 1
        window.settled = self._finished

    def _look(self, *, is_between: bool = False) -> None:
        ended, number = self._finished, next(self._looks)  # what ends behind the count may have left more
        self._step = 1 if ended < self._alert else CALM
        open_now, owned, _ = _hangup.count()
        (latest, before), foreign = self._last, open_now - owned
        if open_now < 0 or number < latest:  # another thread has counted since
            return
        more, self._last = foreign - self._foreign, (number, foreign)
        now = time.monotonic()
        # The same number is no proof if one may have come for one that went: a hub's client, or what others opened.
        youngest = list(self._running.values())[-1:]
        runs_beside = any(now - since <= LONG for since in youngest)
        is_doubtful = self._finished < self._alert and (self._is_of_hub or runs_beside)
        if not more and not is_doubtful:
            self._same_at = ended
        if is_between and more > 0 and 0 <= before < foreign:
            self._excused += min(foreign - before, more)  # for what the next census finds, nobody is blamed
        elif not more:
            self._excused = 0
        self._budget = min(self._budget + (now - self._reckoned) / SHARE, BURST * self._cost)
        self._reckoned = now
        wanted = 1 if more else BURST / 2 if is_doubtful and not is_between else math.inf
        is_due = self._budget >= (wanted * self._cost if self._cost else 0.0)
        is_judged = not (self._finished % JUDGE or is_between)
        if not (is_due or is_judged) or not self._turn.acquire(blocking=False):
            return
        try:
            if is_due:
                self._foreign = foreign
                began = time.thread_time()  # to wait for the interpreter costs nobody anything
                self._take_census(now, more, ended)
                is_judged |= self._settle(now)
                # A garbage collection in between is nobody's cost here.
                self._cost = min(time.thread_time() - began, 2 * self._cost or math.inf)
                self._budget -= self._cost
            if is_judged:
                self._judge()
        finally:
            self._turn.release()

    def _take_census(self, now: float, more: int, ended: int) -> None:
        appeared, gone = self._census.look()
        is_first, self._is_first = self._is_first, False
        widely, closely = self._looked_at, self._same_at
        self._looked_at = self._same_at = ended
        for key in gone:
            self._suspects.pop(key, None)
            returned = self._survivors.pop(key, None)
            for name in returned.suspect.window.names if returned else ():
                if name in self._endpoints:
                    self._endpoints[name].returned += 1
        excused, self._excused = self._excused, 0
        if is_first or not appeared:
            return
        others = [one for one in appeared if not is_client(_hangup.describe(one[0]))]
        if not others:
            return
        window = Window({})
        if excused <= len(appeared) - len(others):
            explains = len(appeared) == more and not gone  # else something was closed for it meanwhile
            self._attach(window, now)  # first: it may end before it is asked who has
            self._add_ended(window, closely if explains else widely)
        gap, self._appeared_at = ended - self._appeared_at, ended
        reach = min(2 * gap, REACH) if self._survivors else ALERT
        self._alert, self._step = max(self._alert, ended + max(ALERT, reach)), 1
        for fd, identity in others:
            if len(self._suspects) + len(self._survivors) < KEPT:
                self._suspects[fd, identity] = Suspect(fd, identity, window, now)

    def _settle(self, now: float) -> bool:
        """Makes survivors of the suspects that are. False if there is none."""
        some = False
        for key, suspect in list(self._suspects.items()):
            window = suspect.window
            if now - suspect.since > LONG and window.pending:
                window.names[OTHERS], window.pending = 0, 0
            if window.pending == 0 and self._finished - window.settled >= SURVIVES:
                del self._suspects[key]
                survivor = survivor_of(suspect)
                if survivor is not None:
                    self._survivors[key] = survivor
                    some = True
        return some

    def _judge(self) -> None:
        if not self._survivors:
            return
        named = {known.name for known in list(self._endpoints.values()) if known.is_leaking}
        survivors = list(self._survivors.values())
        unexplained = [one for one in survivors if named.isdisjoint(one.suspect.window.names)]
        counts = collections.Counter(
            itertools.chain(*(list(one.suspect.window.names) for one in unexplained))
        )
        del counts[OTHERS]  # what runs for hours is there at each appearance
        (worst, most), (_, second) = [*counts.most_common(2), ("", 0), ("", 0)][:2]
        if most > max(LEAST, second):
            self._judge_endpoint(self._endpoints[worst], unexplained)

    def _left_by(self, name: str) -> list[Survivor]:
        return [one for one in list(self._survivors.values()) if name in one.suspect.window.names]

    def _judge_endpoint(self, known: Known, beside: list[Survivor]) -> None:
        """Nobody else explains so many of what nobody named explains."""
        left = [one for one in beside if known.name in one.suspect.window.names]
        threads = sum(thread.name not in OURS for thread in threading.enumerate()) - 1
        allowed = max(LEAST, ALLOWANCE + max(self._crowd, threads), known.patience)
        if (
            len(left) <= allowed
            or not _is_steady(known, left)
            or not self._is_its_own(known, left, beside, allowed)
        ):
            return
        background = sum(not one.suspect.window.names for one in beside)
        if known.returned * 4 > len(left) or background * 4 > len(left):
            return
        used = [one for one in left if one.wear is not None and _hangup.wear(one.suspect.fd) != one.wear]
        for one in used:  # a pool's
            del self._survivors[one.suspect.fd, one.suspect.identity]
        if used:
            return
        gc.collect()
        if not all(_hangup.Foreign.is_open(one.suspect.fd, one.suspect.identity) for one in left):
            known.patience = 2 * len(left)
            return
        known.is_leaking = True
        logger.warning(
            "hangup: requests of %s leave descriptors behind: %d of %d did, and nobody has used these since (%s). "
            "hangup.fds.endpoints() has the figures",
            known.name,
            len(left),
            known.requests,
            ", ".join(examples_of(left)),
        )

    def _is_its_own(self, known: Known, left: list[Survivor], beside: list[Survivor], allowed: int) -> bool:
        """Whether they appeared in its requests, not beside them."""
        alone = sum(len(one.suspect.window.names) == 1 for one in left)
        if alone > allowed or alone * 2 > len(left) or (alone >= ALONE and len(left) * 10 >= len(beside) * 9):
            return True
        usual = known.controls / max(self._controls, 1)
        windows = [one.suspect.window for one in beside if one.suspect.window.ended]
        if not 0 < usual < 1 or any(known.name not in window.names for window in windows):
            return False
        return sum(math.log(1 - (1 - usual) ** window.ended) for window in windows) < math.log(CHANCE)

    def figures(self) -> tuple[Endpoint, ...]:
        """The worst first."""
        found = []
        for known in list(self._endpoints.values()):
            left = self._left_by(known.name)
            figures = (len(left), known.returned, known.is_leaking, tuple(examples_of(left)))
            found.append(Endpoint(known.name, known.requests, *figures))
        return tuple(sorted(found, key=lambda one: (-one.is_leaking, -one.left_behind, one.name)))

    def left_behind(self) -> Iterator[tuple[int, Any, float, str]]:
        """By endpoints that were named: the numbers, their identities, their ages, and by whom."""
        now = time.monotonic()
        for known in list(self._endpoints.values()):
            for suspect, what, _ in self._left_by(known.name) if known.is_leaking else ():
                why = f"a request of {known.name} left {what}"
                yield suspect.fd, suspect.identity, now - suspect.since, why


def _is_steady(known: Known, left: list[Survivor]) -> bool:
    """Whether they came all along: in the last third of the requests as well as before."""
    births = [one.suspect.window.names[known.name] for one in left]
    first = min(births)
    span = known.requests - first
    if span < SURVIVES * 2 or span > RARE * len(left):
        return False
    thirds = [0, 0, 0]
    for birth in births:
        thirds[min(2, 3 * (birth - first) // span)] += 1
    # The latest have not survived yet: a third may have as few as a sixth of all.
    return min(thirds) * 6 >= len(left)


_tracker: Optional[Tracker] = None


def tracker() -> Tracker:
    """This process's."""
    global _tracker
    if _tracker is None:
        _routes.follow_flask()
        _tracker = Tracker()
    return _tracker


def forget() -> None:
    """In a forked child: the requests were the parent's."""
    global _tracker
    _tracker = None


def take_over() -> None:
    """See :meth:`Tracker.take_over`."""
    if _tracker is not None:
        _tracker.take_over()


def figures() -> tuple[Endpoint, ...]:
    """See :func:`hangup.fds.endpoints`."""
    return () if _tracker is None else _tracker.figures()


def left_behind() -> Iterator[tuple[int, Any, float, str]]:
    """See :meth:`Tracker.left_behind`."""
    return iter(()) if _tracker is None else _tracker.left_behind()
