"""Acceptance of a playground: fifty one after the other, ten at once, up to a hundred, and half as many again."""

from __future__ import annotations

import functools

from ..clients import Address, ask, together
from ..deployment import Deployment, Outcome
from ..rooms import Gathering, Participant
from ..service import Holding, free_port
from ..site import HANGUP, Site

_PROVOKES = ("KeyError: 'text'", "ZeroDivisionError: division by zero")
_PATIENCE = 4.0
#: Seconds for which gunicorn's sync worker may be busy with one client.
_TIMEOUT = 30.0
_GROWS_BY = 1.1


def start(site: Site) -> Address:
    """The service behind nginx, with a Redis."""
    web, address = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    workers = 4 if site.variant == HANGUP else 1
    env = {"BIND": f"{web[0]}:{web[1]}", "REDIS_URL": f"{site.redis()}/0"}
    site.start("web", ["./start.sh"], web[1], workers=workers, env=env)
    replaced = {
        "server 127.0.0.1:8000": f"server {web[0]}:{web[1]}",
        "listen 80": f"listen {address[0]}:{address[1]}",
    }
    site.nginx("nginx.conf", replaced, address[1])
    return address


def play(site: Site, outcome: Outcome) -> None:
    """The acceptance, with its overload twice."""
    address = start(site)
    site.surely(functools.partial(alone, address))
    acceptance = Acceptance(address, outcome)
    acceptance.gather("concurrent 10", 10)
    outcome.before = site.settled("web")
    acceptance.sequence("sequential", 10 if site.quick else 50)
    acceptance.flood()
    if not site.quick:
        for count in (10, 50, 100):
            acceptance.gather(f"ramp, {count}", count)
        acceptance.gather("overload, 150", 150, required=0)
        acceptance.sequence("after the overload", 10, required=100)
        outcome.before = site.settled("web")
        acceptance.gather("overload, 150, once more", 150, required=0)
        again = site.settled("web")
        acceptance.judge_growth(outcome.before, again)
        acceptance.stay("stays", _TIMEOUT + 3)

    site.provoke(_PROVOKES[0], functools.partial(post_nothing, address))
    site.provoke(_PROVOKES[1], functools.partial(average_of_nothing, address))
    outcome.after = site.rest(outcome.before, "web", seconds=10)


class Acceptance:
    """Steps; one that is not passed is a complaint."""

    def __init__(self, address: Address, outcome: Outcome) -> None:
        self._address = address
        self._outcome = outcome

    def judge(self, step: str, passed: bool, found: str) -> None:
        """Notes it, if it is not passed."""
        if not passed:
            self._outcome.complaints += 1
            self._outcome.notes.append(f"{step}: {found}")

    def judge_growth(self, before: Holding, after: Holding) -> None:
        """What the same people take once more is what leaks."""
        found = f"{before.rss // 1024} → {after.rss // 1024} MiB"
        self.judge("RSS flat", after.rss <= before.rss * _GROWS_BY, found)
        self.judge("descriptors flat", after.fds <= before.fds, f"{before.fds} → {after.fds}")

    def gather(self, step: str, count: int, required: float = 95) -> None:
        """So many at once, of whom so many percent must hear all others in their room."""
        gathering = Gathering(self._address, count, patience=_PATIENCE, rooms=step)
        self._tally(step, together(gathering.take_part, count), required)
        together_in_room = max(map(len, gathering.workers.values()), default=0)
        if together_in_room > 1:
            self._outcome.notes.append(f"{step}: {together_in_room} workers in one room")

    def sequence(self, step: str, count: int, required: float = 95) -> None:
        """One after the other."""
        results = together(functools.partial(alone, self._address), count, at_once=1)
        self._tally(step, results, required)

    def stay(self, step: str, seconds: float) -> None:
        """One is still served after that, and a second one as well."""
        results = together(functools.partial(stay, self._address, seconds), 2)
        self._tally(step, results, 95)

    def flood(self) -> None:
        """One address begins far more than it may, and hinders nobody else."""
        results = together(functools.partial(flood, self._address), 100, at_once=4)
        refused = sum(str(result) == "the handshake: 429" for result in results)
        self.judge("flood", refused >= 50, f"of 100 connections of one client {100 - refused} were admitted")
        self.gather("beside the flood", 10)

    def _tally(self, step: str, results: list[BaseException | None], required: float) -> None:
        self._outcome.tally(results)
        share = 100 * sum(result is None for result in results) / len(results)
        self.judge(step, share >= required, f"{share:.0f} % of {len(results)} were served")


def alone(address: Address, number: int) -> None:
    """Somebody comes, posts, hears it, and leaves."""
    Gathering(address, 1, patience=_PATIENCE, rooms=f"alone {number}").take_part(number)


def stay(address: Address, seconds: float, number: int) -> None:
    """Somebody stays, and is heard in the end."""
    with Participant(address, patience=_PATIENCE, source=f"127.0.3.{number + 1}") as one:
        one.call("join", f"stays {number}")
        one.stay(seconds)
        one.emit("post", {"room": f"stays {number}", "by": "me", "text": "still here"})
        one.hear("post")


def flood(address: Address, number: int) -> None:
    """A connection more."""
    with Participant(address, patience=_PATIENCE, source="127.0.2.1"):
        pass


def post_nothing(address: Address, number: int) -> None:
    """The handler fails."""
    with Participant(address, patience=_PATIENCE, source="127.0.4.1") as one:
        one.emit("post", {"room": "lobby", "by": "me"})


def average_of_nothing(address: Address, number: int) -> None:
    """The view fails."""
    ask(address, "GET", "/average?points=7&posts=0", timeout=_PATIENCE, expected=500)


deployment = Deployment(
    name="pg2",
    complaint="In production ten people at once is too much: one gets in, nine see “connecting …”, and after half "
    "a minute he is gone as well",
    complains="acceptance steps not passed",
    provokes=_PROVOKES,
    play=play,
)
