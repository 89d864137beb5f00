"""Sessions that come from other workers, and the part of those who are asked when sessions move.

Promised
    A session that is taken in goes on where it was: whatever its client sent is handled, and what it was to be sent is
    sent, once and in order; no handler runs. One that cannot be taken in is told of, and stays where it was.

How
    Whoever wants to give sessions away makes a cut (:mod:`.order`); whoever accepts is ready when it has the marks of
    all. A session comes with its descriptor (``SCM_RIGHTS``), and waits until this process has heard what it was
    served.
"""

from __future__ import annotations

import itertools
import os
import pickle
import sys
import time
from typing import Any, Callable, NamedTuple, Optional

from .. import _hangup
from .._green import patched_by
from . import belongings, others, send
from .order import ANSWER, Cut, Stamp

#: Seconds for which those who emit may take to let a session in.
ALONE = 1.0
#: Seconds from one look to the next, at what is waited for.
LOOK = 0.001
#: Seconds in which it is tried again to take a session in, while others emit.
PATIENCE = 3.0
#: Bytes that a message takes besides its own.
FRAME = 256


class Host(NamedTuple):
    """The worker, as far as sessions that move are concerned.

    Attributes:
        accepts: whether it takes sessions in.
        logs_end: makes what is called at the end of a native WebSocket, of its environ and when it began.
    """

    accepts: Callable[[], bool]
    logs_end: Callable[[dict[str, Any], Any], Any]


class Moving(NamedTuple):
    """A session on its way.

    Attributes:
        sid: of Engine.IO.
        description: :func:`.belongings.described`.
        books: :func:`.belongings.books_of`.
        served: up to which number of each worker.
        unhandled: what its client sent.
        moved: what else ``hand_over`` returned.
    """

    sid: str
    description: bytes
    books: belongings.Books
    served: dict[int, int]
    unhandled: bytes
    moved: tuple[Any, ...]


class Arrival(NamedTuple):
    """One that is here, and not taken in yet.

    Attributes:
        fd: of its connection; -1 if the kernel had none free.
        sender: the pid.
        since: on the monotonic clock.
        late: what it is to be sent besides.
    """

    fd: int
    sender: int
    moving: Moving
    since: float
    late: list[list[Any]]


class Moves:
    """Of one manager. What it is told, it is told by its manager's listener, one after the other."""

    TOLD = frozenset({"mark", "ready", "over", "adopt", "adopted", "packets", "depart"})

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.host: Optional[Host] = None
        #: Whether those that were sent away were taken in; None while that is not known.
        self.adopted: dict[str, Optional[bool]] = {}
        self._gone: dict[str, int] = {}
        #: The last cut of each maker that is over.
        self._over: dict[int, int] = {}
        self._count = itertools.count(1)
        self._arrivals: list[Arrival] = []

    @property
    def patience(self) -> Optional[float]:
        """Seconds after which :meth:`settle` has something to do, whatever is told."""
        return LOOK if self._arrivals else ANSWER / 10 if self.manager.order.cuts else None

    def told(self, what: str, fd: int, *about: Any) -> None:
        """By another worker, or by this one's signal handlers."""
        getattr(self, f"_told_{what}")(fd, *about)
        self.settle()

    def settle(self) -> None:
        """Does what is due."""
        order, listening = self.manager.order, others()
        for number, cut in list(order.cuts.items()):
            maker = number[0]
            if maker == os.getpid():
                continue
            if maker not in listening and not self._arrivals:
                order.forget(number)
            elif cut.tells_now(listening):
                self._tell(maker, "ready", number, os.getpid())
        due = [arrival for arrival in self._arrivals if self._is_due(arrival, listening)]
        if due:
            self._arrivals = [arrival for arrival in self._arrivals if arrival not in due]
            self._take_in_all(due)

    # Cuts

    def agree(self) -> tuple[tuple[int, int], list[int]]:
        """Makes a cut. Its number, and the pids of those who take sessions in by it."""
        number = os.getpid(), next(self._count)
        cut = self._mark(number)
        while True:
            listening = others()
            if cut.is_complete(listening):
                accepting = {pid for pid, accepts in list(cut.marks.items()) if accepts} & set(listening)
                if accepting <= cut.ready or time.monotonic() > cut.began + 2 * ANSWER:
                    return number, sorted(accepting & cut.ready)
            time.sleep(LOOK)

    def end(self, number: tuple[int, int]) -> None:
        """Nobody moves by this cut any more."""
        self.manager.order.forget(number)
        for pid in others():
            self._tell(pid, "over", number)

    def _mark(self, number: tuple[int, int]) -> Cut:
        order = self.manager.order
        if number not in order.cuts:
            order.cuts[number] = Cut()  # from here on, what is told is kept
            self.manager.mark(number, self.host is not None and self.host.accepts())
        cut: Cut = order.cuts[number]
        return cut

    def _told_mark(self, _fd: int, number: tuple[int, int], mark: tuple[int, int], accepts: bool) -> None:
        self.manager.order.hear(Stamp(*mark))
        maker, count = number
        is_over = maker == os.getpid() or maker not in others() or count <= self._over.get(maker, 0)
        if is_over and number not in self.manager.order.cuts:
            return  # answered, it would be answered by all, for ever
        self._mark(number).marks[mark[0]] = accepts

    def _told_ready(self, _fd: int, number: tuple[int, int], pid: int) -> None:
        cut = self.manager.order.cuts.get(number)
        if cut is not None:
            cut.ready.add(pid)

    def _told_over(self, _fd: int, number: tuple[int, int]) -> None:
        theirs = [arrival for arrival in self._arrivals if arrival.sender == number[0]]
        self._arrivals = [arrival for arrival in self._arrivals if arrival not in theirs]
        self._take_in_all(theirs)  # by what is kept, as long as it is
        self.manager.order.forget(number)
        self._over[number[0]] = number[1]

    # Sessions that leave

    def _told_depart(self, _fd: int, *arguments: Any) -> None:
        from . import departure

        self.manager.server.start_background_task(departure.depart, self, *arguments)

    def send(self, pid: int, moving: Moving, fd: int) -> bool:
        """Sends a session; :attr:`adopted` says what became of it."""
        from .bus import pack

        self.adopted[moving.sid], self._gone[moving.sid] = None, pid
        return send(pid, self.manager.kind, pack(None, "adopt", os.getpid(), tuple(moving)), fd)

    def _told_adopted(self, _fd: int, sid: str, is_adopted: bool) -> None:
        self.adopted[sid] = is_adopted

    def awaits(self) -> bool:
        """Whether acknowledgements are awaited of clients that are not here."""
        here = {sid for members in list(self.manager.rooms.values()) for sid in list(members.get(None, ()))}
        awaited = {sid for sid, known in list(self.manager.callbacks.items()) if len(known) > 1}
        return bool(self._gone) and not awaited <= here

    def forward(self, eio_sid: str, parts: list[Any]) -> bool:
        """Sends what a handler has to say to a client that has moved. False if it has not."""
        pid = self._gone.get(eio_sid)
        if pid is None or eio_sid in self.manager.server.eio.sockets:
            return False
        self._tell(pid, "packets", eio_sid, parts)
        return True

    # Sessions that come

    def _told_adopt(self, fd: int, sender: int, moving: tuple[Any, ...]) -> None:
        self._arrivals.append(Arrival(fd, sender, Moving(*moving), time.monotonic(), []))

    def _told_packets(self, _fd: int, eio_sid: str, parts: list[Any]) -> None:
        for arrival in self._arrivals:
            if arrival.moving.sid == eio_sid:
                arrival.late.append(parts)
                return
        self._send_packets(eio_sid, parts)

    def _send_packets(self, eio_sid: str, parts: list[Any]) -> None:
        from .._websocket.outlet import send_together

        if self.forward(eio_sid, parts):
            return
        packet = sys.modules["engineio.packet"]
        packets = [packet.Packet(packet.MESSAGE, part) for part in parts]
        send_together(self.manager.server, eio_sid, packets)

    def _is_due(self, arrival: Arrival, listening: list[int]) -> bool:
        is_late = time.monotonic() > arrival.since + ANSWER
        return is_late or self.manager.order.has_served(arrival.moving.served, listening)

    def _take_in_all(self, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        with self.manager.gate.alone(ALONE) as is_alone:
            if not is_alone and time.monotonic() < arrivals[0].since + PATIENCE:
                self._arrivals = arrivals + self._arrivals  # tried again: somebody is emitting for long
                return
            outcomes = [is_alone and self.take_in(arrival.moving, arrival.fd) for arrival in arrivals]
        for arrival, is_adopted in zip(arrivals, outcomes):
            if not is_alone and arrival.fd >= 0:
                os.close(arrival.fd)
            self._tell(arrival.sender, "adopted", arrival.moving.sid, is_adopted)
            for parts in arrival.late if is_adopted else ():
                self._send_packets(arrival.moving.sid, parts)

    def take_in(self, moving: Moving, fd: int, *, is_back: bool = False) -> bool:
        """Has a session go on here; inside the gate, alone. False if it cannot.

        Args:
            moving: the session.
            fd: its connection's, which is closed if it cannot.
            is_back: it was here before, and nobody else took it in.
        """
        accepts = self.host is not None and fd >= 0
        try:
            if not accepts or (self.manager.order.is_torn and not is_back):
                raise belongings.Unmovable("there is no room for it")
            environ, state, packet, began = belongings.read(self.manager.server, moving.description)
        except belongings.Unmovable as reason:
            belongings.logger.warning("hangup: a session was not taken in: %s", reason)
            if fd >= 0:
                os.close(fd)
            return False
        try:
            self._go_on(moving, fd, environ, state, packet, began)
        except OSError as error:  # the core closes the descriptor
            belongings.logger.warning("hangup: a session was not taken in: %s", error)
            return False
        _hangup.tally("sessions_moved")
        return True

    def _go_on(
        self, moving: Moving, fd: int, environ: dict[str, Any], state: Any, packet: Any, began: Any
    ) -> None:
        from .._install import remember_request
        from .._websocket import dispatch, engineio

        assert self.host is not None
        server, slow = self.manager.server, self.manager.slow_clients
        eio, missed = server.eio, self.manager.order.beyond(moving.served)
        # what it has not got yet finds room, whatever its policy: nobody waits for it in here
        brought = len(moving.moved[0]) + sum(2 * len(message) + FRAME for _, message in missed)
        slow = slow._replace(budget=slow.budget + 2 * brought)
        socket = sys.modules["engineio.socket"].Socket(eio, moving.sid)
        socket.session = state
        dispatcher = dispatch.dispatcher(patched_by() or "threading")
        on_end = self.host.logs_end(environ, began)
        native = dispatcher.open(
            lambda native: engineio.Session(dispatcher, socket, native, None, on_end, None),
            lambda native: engineio.start(
                eio, slow, dispatcher, native, fd, moving.unhandled, moved=moving.moved
            ),
        )
        remember_request(environ)
        with self.manager._turn:
            belongings.bring_in(server, socket, environ, packet, moving.books)
        self._gone.pop(moving.sid, None)
        for _, message in missed:
            _, what, *about = pickle.loads(message)
            self._catch_up(moving.books, what, about)
        native.unpark()

    def _catch_up(self, books: belongings.Books, what: str, about: list[Any]) -> None:
        """What was told of it while it was on its way."""
        manager = self.manager
        if what in ("emit", "ask"):
            event, data, namespace, room, skip_sid, *rest = about
            sid, _ = books.namespaces.get(namespace, (None, None))
            if sid is not None and self._is_for(sid, namespace, room, skip_sid):
                manager.told(what, event, data, namespace, sid, None, *rest)
        elif what == "close":
            room, namespace = about
            sid, _ = books.namespaces.get(namespace, (None, None))
            if sid is not None and sid != room:
                manager.basic_leave_room(sid, namespace, room)
        elif what == "guest":
            manager.told(what, *about)
        elif what in ("enter", "leave", "disconnect"):
            sid, namespace = about[:2]
            if books.namespaces.get(namespace, (None, None))[0] == sid:
                manager.told(what, *about)

    def _is_for(self, sid: str, namespace: str, room: Any, skip_sid: Any) -> bool:
        if sid in (skip_sid if isinstance(skip_sid, list) else [skip_sid]):
            return False
        names = [room] if isinstance(room, str) or not hasattr(room, "__len__") else room
        there = self.manager._rooms_of.get((namespace, sid), ())
        return any(name in there for name in names)

    def _tell(self, pid: int, what: str, *about: Any) -> None:
        from .bus import pack

        self.manager.tell([pid], pack(None, what, *about))
