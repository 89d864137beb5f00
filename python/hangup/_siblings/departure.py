"""The sessions of a worker that leaves go to its siblings.

Promised
    Their clients notice nothing: no ``disconnect`` runs, nothing is lost, sent twice or in another order. A session
    leaves between two handlers, so that what it does is done in one process. What comes from outside, such as an
    acknowledgement that one of its handlers is still to send, follows it.
    One that cannot leave stays, and ends with its worker: see :mod:`hangup._gunicorn.websockets`.

How
    In batches: nobody is given their turns, the running ones end, and while nobody emits they are taken out of the
    books, with their descriptors (``crates/hangup-core/src/ws/departure.rs``).

Not promised
    Sessions that poll, and those whose handler never returns. What an application keeps of a client in the memory of
    its process stays there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import _hangup, _sessions, _siblings
from .._mode import OFF, ON, meaning
from . import belongings, others, send
from .moves import ALONE, LOOK, Moves, Moving

logger = logging.getLogger("gunicorn.error")  # to which a worker says that it leaves

#: Sessions that stand still at the same time.
BATCH = 16
#: Seconds for which they may wait for a handler to return; then they go on, and it is tried again.
HANDLERS = 0.1
#: Seconds for the native side to give them up, and for a sibling to take them in.
NATIVE, ADOPTION = 0.5, 5.0
#: Seconds from one attempt to the next.
PAUSE = 0.05
#: Seconds for which the rest of the wanted siblings are waited for when the first is there.
TOGETHER = 3.0

#: Whether sessions leave their worker: ``on``, or ``off``.
SWITCH = "HANGUP_HANDOVER"

#: Seconds for clients that have left to acknowledge what they were sent here.
AWAITED = 5.0

#: The managers whose sessions are leaving, by their kind, and until when; asked and changed by signal handlers.
_under_way: dict[bytes, float] = {}


def is_wanted(workers: int) -> bool:
    """What the switch says; where it says nothing, whether there are several workers: an application that has one may
    keep in its memory what it knows of clients, and count on their coming back.

    Args:
        workers: that gunicorn is to have.

    Raises:
        ValueError: it says something else than on or off.
    """
    said = os.environ.get(SWITCH, "")
    if not said.strip():
        return workers > 1
    if meaning(said) not in (ON, OFF):
        raise ValueError(f"{SWITCH}={said!r} is neither on nor off")
    return meaning(said) == ON


def begin(seconds: float, wanted: int) -> None:
    """Has the sessions of this process leave. Takes no lock: signal handlers ask.

    Args:
        seconds: for all of it.
        wanted: how many siblings should be there to take them in. 0: those that there are.
    """
    from .bus import pack

    for manager in _managers_with_sessions():
        if manager.kind in _under_way:
            continue
        deadline = _under_way[manager.kind] = time.monotonic() + seconds
        if not send(os.getpid(), manager.kind, pack(None, "depart", deadline, wanted)):
            _under_way.pop(manager.kind, None)


def is_held_up() -> bool:
    """Whether one of several workers, that need not leave now, should wait until another one is there, or has left: of
    several that leave at once, none could take in the others' sessions.
    """
    if not any(_managers_with_sessions()):
        return False
    is_alone = len(_hangup.loads()) < 2
    return is_alone or not take_turn()


def take_turn() -> bool:
    """True for one worker, until it is gone."""
    return _siblings.take_turn(b"leave")


def _managers_with_sessions() -> Iterator[Any]:
    from .bus import sibling_manager

    kind = sibling_manager()
    for server in _sessions.servers():
        if isinstance(server.manager, kind) and server.manager.is_listening and server.eio.sockets:
            yield server.manager


def is_under_way() -> bool:
    """Whether sessions may leave still."""
    now = time.monotonic()
    return any(deadline + ADOPTION > now for deadline in list(_under_way.values()))


def depart(moves: Moves, deadline: float, wanted: int) -> None:
    """Until nobody is left who can leave, or time is up. In a task of its own."""
    try:
        Departure(moves, deadline).run(wanted)
    finally:
        _under_way.pop(moves.manager.kind, None)


class Candidate(NamedTuple):
    """A session that may leave.

    Attributes:
        session: of engineio.
        native: its WebSocket.
        connection: what handles its events.
    """

    session: Any
    native: Any
    connection: Any


class Departure:
    """Of one manager's sessions."""

    def __init__(self, moves: Moves, deadline: float) -> None:
        self._moves = moves
        self._manager = moves.manager
        self._deadline = deadline
        self._stay: set[str] = set()
        self._moved = 0

    def run(self, wanted: int) -> None:
        """See :func:`depart`."""
        began = time.monotonic()
        try:
            self._run(wanted)
            self._await_acknowledgements()
        finally:
            if self._moved:
                logger.info(
                    "hangup: %d clients went on in other workers within %.1f s; %d stay",
                    self._moved, time.monotonic() - began, len(self._candidates()) + len(self._stay),
                )  # fmt: skip

    def _run(self, wanted: int) -> None:
        first_seen = None
        while time.monotonic() < self._deadline and self._candidates():
            if wanted and not any(pid != os.getpid() for pid, _ in _hangup.loads()):
                time.sleep(PAUSE)  # nobody is there yet
                continue
            cut, siblings = self._moves.agree()
            try:
                if siblings and first_seen is None:
                    first_seen = time.monotonic()
                is_time = (
                    len(siblings) >= wanted or time.monotonic() > (first_seen or self._deadline) + TOGETHER
                )
                if siblings and is_time:
                    self._distribute(siblings)
                elif not wanted:
                    return
            finally:
                self._moves.end(cut)
            time.sleep(PAUSE)

    def _await_acknowledgements(self) -> None:
        """Of clients that have left: they come to this process."""
        deadline = min(self._deadline, time.monotonic() + AWAITED)
        while self._moves.awaits() and time.monotonic() < deadline:
            time.sleep(PAUSE)

    def _candidates(self) -> list[Candidate]:
        from .._websocket import dispatch

        handlers = {
            connection.native.id: connection
            for dispatcher in dispatch.started()
            for connection in dispatcher.connections()
        }
        found = []
        for sid, session in list(self._manager.server.eio.sockets.items()):
            native = getattr(
                session.queue, "native", None
            )  # None while it is polling, or counted for an admin
            if native is None or native.ending is not None or sid in self._stay or session.closed:
                continue
            if native.id in handlers:
                found.append(Candidate(session, native, handlers[native.id]))
        return found

    def _distribute(self, siblings: list[int]) -> None:
        """Each to the one who has the fewest."""
        loads = {pid: load for pid, load in _hangup.loads() if pid in siblings}
        if not loads:
            return
        shares: dict[int, list[Candidate]] = {}
        for candidate in self._candidates():
            least = min(loads, key=lambda pid: loads[pid])
            loads[least] += 1
            shares.setdefault(least, []).append(candidate)
        for pid, share in shares.items():
            for first in range(0, len(share), BATCH):
                if time.monotonic() < self._deadline and pid in others():
                    self._move(pid, share[first : first + BATCH])

    def _move(self, pid: int, batch: list[Candidate]) -> None:
        for candidate in batch:
            candidate.native.park()
        taken: list[tuple[Moving, int]] = []
        try:
            described = self._described(batch)
            with self._manager.gate.alone(ALONE) as is_alone:
                if is_alone:
                    taken = self._take_out(described)
        finally:
            for candidate in batch:
                candidate.native.unpark()  # those that have left do not notice
        for moving, fd in taken:
            if not self._moves.send(pid, moving, fd):
                self._moves.adopted[moving.sid] = False
        self._see_through(pid, taken)

    def _described(self, batch: list[Candidate]) -> list[tuple[Candidate, bytes]]:
        """Those that are quiet in time, and can leave."""
        patience = time.monotonic() + HANDLERS
        while not all(one.native.is_quiet for one in batch) and time.monotonic() < patience:
            time.sleep(LOOK)
        described = []
        for candidate in batch:
            if not candidate.native.is_quiet:
                continue
            began = getattr(candidate.connection.on_end, "began", None)
            try:
                description = belongings.described(self._manager.server, candidate.session, began)
            except belongings.Unmovable as reason:
                self._stay.add(candidate.session.sid)
                belongings.logger.warning("hangup: a session does not move with its worker: %s", reason)
                continue
            described.append((candidate, description))
        return described

    def _take_out(self, described: list[tuple[Candidate, bytes]]) -> list[tuple[Moving, int]]:
        manager, taken = self._manager, []
        served = manager.order.served()
        with manager._turn:
            books = []
            for candidate, description in described:
                try:
                    known = belongings.books_of(manager, candidate.session.sid)
                except belongings.Unmovable:  # for now
                    continue
                books.append((candidate, description, known))
            departed = _hangup.hand_over([candidate.native for candidate, _, _ in books], NATIVE)
            for (candidate, description, known), left in zip(books, departed):
                if left is None:  # it ends here
                    continue
                fd, unhandled, moved = left
                belongings.take_out(manager.server, candidate.session, known)
                self._let_go(candidate)
                moving = Moving(candidate.session.sid, description, known, served, unhandled, moved)
                taken.append((moving, fd))
        return taken

    @staticmethod
    def _let_go(candidate: Candidate) -> None:
        from .._websocket import dispatch

        for dispatcher in dispatch.started():
            dispatcher.let_go(candidate.native)
        candidate.connection.look()  # somebody may wait for room
        if candidate.connection.sink is not None:
            candidate.connection.sink.close()

    def _see_through(self, pid: int, taken: list[tuple[Moving, int]]) -> None:
        """Waits for the sibling's word. Those that it did not take go on here; what it never spoke of is its own."""
        deadline = time.monotonic() + ADOPTION
        adopted = self._moves.adopted
        while any(adopted[moving.sid] is None for moving, _ in taken):
            if time.monotonic() > deadline or pid not in others():
                break
            time.sleep(LOOK)
        back = []
        for moving, fd in taken:
            if adopted.pop(moving.sid) is False:
                back.append((moving, fd))
            else:
                self._moved += 1
                os.close(fd)
        if back:
            with self._manager.gate.alone(ALONE):
                for moving, fd in back:
                    self._moves.take_in(moving, fd, is_back=True)
