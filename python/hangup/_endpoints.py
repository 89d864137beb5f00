"""Whose requests leave descriptors behind.

Promised
    An endpoint is named in one WARNING when it leaves descriptors behind again and again; :func:`figures` has
    the figures before that. What a request opens for others (a pool, a rotated log, a thread's own connection) is
    not blamed on it.

How
    A count of the process's descriptors (fstat of ``/proc/self/fd``) after each request says whether something
    foreign appeared. Then, for at most a fiftieth of the time, a census says what. It is a suspect: of the
    requests that ran when it appeared. It counts once it has survived :data:`SURVIVES` requests behind the
    last of these. An endpoint is named when

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
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, Optional

from . import _hangup, _routes
from ._suspects import Survivor, Suspect, Window, examples_of, is_client, survivor_of

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
#: The share of the time that censuses may take is one of so many.
SHARE = 50
#: Requests between two looks while nothing appears, and for how many each is looked at once something has.
CALM, ALERT = 8, 1_000
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


class _Known:
    """An endpoint."""

    __slots__ = ("controls", "is_leaking", "name", "patience", "requests", "returned")

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests = self.returned = 0
        #: Windows taken at random in which it ran.
        self.controls = 0
        self.is_leaking = False
        #: Survivors that must be exceeded, after a garbage collection closed some.
        self.patience = 0


class Tracker:
    """Of one process. Nobody waits for it: what one thread is at, others leave out."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._running: dict[Hashable, tuple[float, list[Window]]] = {}
        self._endpoints: dict[str, _Known] = {}
        self._suspects: dict[tuple[int, Any], Suspect] = {}
        self._survivors: dict[tuple[int, Any], Survivor] = {}
        self._census = _hangup.Foreign()
        self._is_first, self._is_of_hub = True, False
        #: Endpoints of requests that ended since the last census, and since the count was last the same as then.
        self._ended: dict[str, int] = {}
        self._lately: dict[str, int] = {}
        self._looked_at = self._unseen = self._finished = self._controls = self._crowd = 0
        #: Descriptors that are not hangup's: at the last census, and when they were counted last.
        self._foreign = self._last = self._alert = -1
        #: Descriptors that appeared between requests, but clients that a hub accepted are not among them.
        self._excused = 0
        #: Seconds of a census, and when there may be another.
        self._cost = self._next = 0.0

    def take_over(self) -> None:
        """A client of a hub becomes hangup's, which may have been found between requests."""
        self._excused, self._is_of_hub = max(0, self._excused - 1), True

    def begin(self, request: Hashable) -> None:
        """A request begins."""
        if len(self._running) > MOST_RUNNING:  # of a server that does not say when requests end
            self._running.clear()
        if not self._running and self._finished < self._alert:
            self._look(is_between=True)
        self._running[request] = (time.monotonic(), [])
        self._crowd = max(self._crowd, len(self._running))

    def end(self, request: Hashable, name: str) -> None:
        """It has ended."""
        if name not in self._endpoints and len(self._endpoints) >= NAMES:
            name = OTHERS
        known = self._endpoints.get(name) or self._endpoints.setdefault(name, _Known(name))
        known.requests += 1
        self._finished += 1
        self._unseen += 1
        self._ended[name] = self._lately[name] = known.requests
        for window in self._running.pop(request, (0.0, ()))[1]:
            window.names.setdefault(name, known.requests)
            window.pending -= 1
            window.settled = self._finished
            if window.is_control and not window.pending:
                self._count_control(window)
        if not self._finished % CONTROL:
            control = Window({name: known.requests}, is_control=True)
            self._attach(control, time.monotonic())
            if not control.pending:
                self._count_control(control)
        if self._finished < self._alert or not self._finished % CALM:
            self._look()

    def _count_control(self, window: Window) -> None:
        self._controls += 1
        for name in window.names:
            self._endpoints.setdefault(name, _Known(name)).controls += 1

    def _attach(self, window: Window, now: float) -> None:
        """Has the requests that run be of the window."""
        for since, windows in list(self._running.values()):
            if now - since > LONG:
                window.names[OTHERS] = 0
            else:
                windows.append(window)
                window.pending += 1
        window.settled = self._finished

    def _look(self, *, is_between: bool = False) -> None:
        open_now, owned, _ = _hangup.count()
        if open_now < 0:
            return
        foreign, before = open_now - owned, self._last
        more, self._last = foreign - self._foreign, foreign
        now = time.monotonic()
        # The same number is no proof if one may have come for one that went: a hub's client, or what others opened.
        youngest = list(self._running.values())[-1:]
        runs_beside = any(now - since <= LONG for since, _ in youngest)
        is_doubtful = self._finished < self._alert and (self._is_of_hub or runs_beside)
        if not more and not is_doubtful:
            self._lately, self._unseen = {}, 0
        if is_between and 0 <= before < foreign:
            self._excused += foreign - before  # for what the next census finds, nobody is blamed
        elif not more:
            self._excused = 0
        is_due = now >= self._next and (more != 0 or (is_doubtful and not is_between))
        is_judged = not (self._finished % JUDGE or is_between)
        if not (is_due or is_judged) or not self._turn.acquire(blocking=False):
            return
        try:
            if is_due:
                self._foreign = foreign
                began = time.thread_time()  # to wait for the interpreter costs nobody anything
                self._take_census(now, more)
                is_judged |= self._settle(now)
                # A garbage collection in between is nobody's cost here.
                self._cost = min(time.thread_time() - began, 2 * self._cost or math.inf)
                self._next = time.monotonic() + SHARE * self._cost
            if is_judged:
                self._judge()
        finally:
            self._turn.release()

    def _take_census(self, now: float, more: int) -> None:
        appeared, gone = self._census.look()
        is_first, self._is_first = self._is_first, False
        widely = Window(self._ended, self._finished - self._looked_at)
        closely = Window(self._lately, self._unseen)
        self._ended, self._lately, self._unseen, self._looked_at = {}, {}, 0, self._finished
        for key in gone:
            self._suspects.pop(key, None)
            returned = self._survivors.pop(key, None)
            for name in returned.suspect.window.names if returned else ():
                if name in self._endpoints:
                    self._endpoints[name].returned += 1
        excused, self._excused = self._excused, 0
        if is_first or not appeared:
            return
        # Else something was closed for it meanwhile.
        explains = len(appeared) == more and not gone
        others = [one for one in appeared if not is_client(_hangup.describe(one[0]))]
        if not others:
            return
        window = closely if explains else widely
        if excused > len(appeared) - len(others):
            window = Window({})
        else:
            self._attach(window, now)
        self._alert = self._finished + ALERT
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
        named = {name for name, known in list(self._endpoints.items()) if known.is_leaking}
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

    def _judge_endpoint(self, known: _Known, beside: list[Survivor]) -> None:
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

    def _is_its_own(self, known: _Known, left: list[Survivor], beside: list[Survivor], allowed: int) -> bool:
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
        for name, known in list(self._endpoints.items()):
            left = self._left_by(name)
            figures = (len(left), known.returned, known.is_leaking, tuple(examples_of(left)))
            found.append(Endpoint(name, known.requests, *figures))
        return tuple(sorted(found, key=lambda one: (-one.is_leaking, -one.left_behind, one.name)))

    def left_behind(self) -> Iterator[tuple[int, Any, float, str]]:
        """By endpoints that were named: the numbers, their identities, their ages, and by whom."""
        now = time.monotonic()
        for known in list(self._endpoints.values()):
            for suspect, what, _ in self._left_by(known.name) if known.is_leaking else ():
                why = f"a request of {known.name} left {what}"
                yield suspect.fd, suspect.identity, now - suspect.since, why


def _is_steady(known: _Known, left: list[Survivor]) -> bool:
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
