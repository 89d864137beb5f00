"""Emits, rooms and disconnects that reach the clients of all workers, without a message queue.

Promised
    What one of python-socketio's managers for message queues does for all its processes, this one does for the workers
    of one master: emits (with their policy and ``coalesce``), ``close_room``, ``disconnect``, ``enter_room`` and
    ``leave_room`` of anybody's client, and ``call()`` with the answer of a client of another worker. Where there is one
    worker, nothing is sent, and it is as strict as the manager for one process.
    A worker that has no room for a message in a second does not get it: that is counted.

How
    A ``socketio.Manager``, behind which the native one stands, in each worker (names used: socketio/manager.py,
    5.10.0 to 5.18.1); what it does for its own clients it tells the others. It is none of python-socketio's managers
    for message queues, which test clients refuse. Messages are pickled: whoever may send one is the same user, who
    could as well read this process's memory. What is for one client that is here is told nobody, unless its own room
    has guests elsewhere. Clients move from worker to worker: see :mod:`.moves`.

Not promised
    Other masters, and processes that are no workers, such as Celery's: those need a message queue
    (:mod:`.machines`). A worker that begins is told nothing of before.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import pickle
import threading
from typing import Any, Callable, Optional

from .. import _hangup
from .._websocket import emission
from . import MESSAGES, inbox, others, owner, secret, send
from .belongings import answer
from .gate import Gate
from .moves import Moves
from .order import Order, Stamp

logger = logging.getLogger("hangup")
#: Of an application's servers, which all workers make in the same order.
_numbers = itertools.count()


@functools.cache
def sibling_manager() -> Any:
    """The class: python-socketio is imported when it is first asked for."""
    from socketio.manager import Manager

    class SiblingManager(Manager):  # type: ignore[misc]
        """Stands in for ``socketio.Manager`` in a worker with siblings."""

        def join_siblings(self) -> None:
            """What a manager that there is already needs besides."""
            self.kind = MESSAGES + b" %d" % next(_numbers)
            self._inbox: Any = None
            self._begin()

        def _begin(self) -> None:
            self.gate, self.order, self.moves = Gate(), Order(), Moves(self)
            #: Own rooms of clients that clients of other workers are in: namespace and sid.
            self.guests: set[tuple[str, str]] = set()
            self._telling = threading.Lock()

        def initialize(self) -> None:
            super().initialize()
            self._begin()  # with the locks of this process's hub
            try:
                self._inbox = inbox(self.kind)
            except OSError as error:
                logger.warning("hangup: worker %d is not told what others emit: %s", os.getpid(), error)
                return
            self.server.start_background_task(self._hear_siblings)

        def emit(
            self,
            event: str,
            data: Any,
            namespace: Optional[str] = None,
            room: Any = None,
            skip_sid: Any = None,
            callback: Optional[Callable[..., Any]] = None,
            to: Any = None,
            ignore_queue: bool = False,
            **_more: Any,
        ) -> None:
            namespace, room = namespace or "/", to or room
            with self.gate:
                how = emission.current.get()
                is_here = self._has(room, namespace) and (namespace, room) not in self.guests
                # a callback for several rooms, or for everybody, is one process's: a message queue has none either
                is_ours = callback is not None and not isinstance(room, str)
                if not (is_here or is_ours or ignore_queue):
                    what = (event, data, namespace, room, skip_sid)
                    if callback is None:
                        # what cannot be told is raised before anybody gets it
                        self._tell_all("emit", *what, *(() if how is None else (how.policy, how.coalesce)))
                    elif others():
                        self._tell_all("ask", *what, self._asker(room, callback))
                super().emit(
                    event, data, namespace=namespace, room=room, skip_sid=skip_sid, callback=callback
                )

        def _asker(self, room: str, callback: Callable[..., Any]) -> tuple[Any, ...]:
            """What :meth:`_answering` makes a callback of, in the worker that has the client."""
            return os.getpid(), room, self._generate_ack_id(room, callback)

        def _answering(self, asker: tuple[Any, ...]) -> Callable[..., Any]:
            return functools.partial(answer, self.kind, *asker)

        @property
        def is_listening(self) -> bool:
            """Whether others can tell this process something."""
            return self._inbox is not None

        def forward(self, eio_sid: str, parts: list[Any]) -> bool:
            return self.moves.forward(eio_sid, parts)

        def waiting(self) -> Any:
            return self.gate.outside()

        def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: Optional[str] = None) -> Any:
            with self.gate:
                if self._is_elsewhere(sid, namespace):
                    return self._tell_all("enter", sid, namespace, room)
                entered = super().enter_room(sid, namespace, room, eio_sid=eio_sid)
                if self._is_own_room(room) and not self._has(room, namespace):
                    self._tell_all("guest", namespace, room)
                return entered

        def leave_room(self, sid: str, namespace: str, room: Any) -> Any:
            with self.gate:
                if self._is_elsewhere(sid, namespace):
                    return self._tell_all("leave", sid, namespace, room)
                return super().leave_room(sid, namespace, room)

        def close_room(self, room: Any, namespace: Optional[str] = None) -> None:
            with self.gate:
                super().close_room(room, namespace or "/")
                self._tell_all("close", room, namespace or "/")

        def can_disconnect(self, sid: str, namespace: str) -> Any:
            with self.gate:
                if self._is_elsewhere(sid, namespace):
                    self._tell_all("disconnect", sid, namespace)
                    return False
                return super().can_disconnect(sid, namespace)

        def _has(self, sid: Any, namespace: str) -> bool:
            members = self.rooms.get(namespace, {}).get(None, {})
            return isinstance(sid, str) and members.get(sid) is not None

        def _is_elsewhere(self, sid: str, namespace: str) -> bool:
            """Whether a client that is not here may be another worker's."""
            return not self._has(sid, namespace) and bool(others())

        def _is_own_room(self, room: Any) -> bool:
            """Whether it is the own room of a client of any worker."""
            known = secret()
            return known is not None and isinstance(room, str) and owner.owner_of(room, known) is not None

        def _tell_all(self, what: str, *about: Any) -> None:
            """Tells all others, each in the order in which it is said."""
            with self._telling:
                # asked in here: whoever listens when this process marks a cut gets what follows
                siblings = others()
                if not siblings and not self.order.cuts:
                    return
                stamp = self.order.next_stamp()
                message = pack(stamp, what, *about)
                self.order.keep(stamp, message)
                self.tell(siblings, message)

        def mark(self, cut: tuple[int, int], accepts: bool) -> None:
            """Tells all others how far this process's telling is."""
            with self._telling:
                mark = pack(None, "mark", cut, tuple(self.order.own_mark()), accepts)
                self.tell(others(), mark)

        def tell(self, siblings: list[int], message: bytes) -> None:
            """Sends a message (:func:`pack`) to some."""
            for pid in siblings:
                if not send(pid, self.kind, message):
                    _hangup.tally("sibling_messages_lost")
                    logger.debug("hangup: worker %d was not told something", pid)

        def _hear_siblings(self) -> None:
            while True:
                message = self._inbox.take()
                if message is None:
                    wait_readable(self._inbox.fileno(), self.moves.patience)
                try:
                    if message is None:
                        self.moves.settle()
                    else:
                        self._handle(*message)
                except Exception:  # of a handler, or of one message: the next ones are others'
                    logger.exception("hangup: what another worker said failed here")

        def _handle(self, data: bytes, fd: int) -> None:
            stamp, what, *about = pickle.loads(data)
            if what in Moves.TOLD:
                self.moves.told(what, fd, *about)
            elif stamp is None:
                self.told(what, *about)
            else:
                self._hear(Stamp(*stamp), data, what, *about)

        def _hear(self, stamp: Stamp, message: bytes, what: str, *about: Any) -> None:
            with self.gate:
                with self._telling:
                    self.order.hear(stamp)
                    self.order.keep(stamp, message)
                self.told(what, *about)

        def told(self, what: str, *about: Any) -> None:
            """By another worker, or kept for a session that moved here."""
            getattr(self, f"_told_{what}")(*about)

        def _told_emit(
            self, event: str, data: Any, namespace: str, room: Any, skip_sid: Any, *how: Optional[str]
        ) -> None:
            with emission.under(emission.Emission(*how) if how else None):
                super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid)

        def _told_ask(
            self, event: str, data: Any, namespace: str, room: Any, skip_sid: Any, asker: tuple[Any, ...]
        ) -> None:
            callback = self._answering(asker)
            super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid, callback=callback)

        def _told_answer(self, room: Any, number: int, arguments: tuple[Any, ...]) -> None:
            # handlers take their time, and others are to be heard meanwhile
            self.server.start_background_task(self.trigger_callback, room, number, list(arguments))

        def _told_enter(self, sid: str, namespace: str, room: Any) -> None:
            if self._has(sid, namespace):
                super().enter_room(sid, namespace, room)

        def _told_leave(self, sid: str, namespace: str, room: Any) -> None:
            if self._has(sid, namespace):
                super().leave_room(sid, namespace, room)

        def _told_guest(self, namespace: str, room: str) -> None:
            if self._has(room, namespace):
                self.guests.add((namespace, room))

        def _told_close(self, room: Any, namespace: str) -> None:
            super().close_room(room, namespace)

        def _told_disconnect(self, sid: str, namespace: str) -> None:
            if self._has(sid, namespace):
                self.server.start_background_task(
                    self.server.disconnect, sid, namespace=namespace, ignore_queue=True
                )

        def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> Any:
            self.guests.discard((namespace, sid))
            return super().basic_disconnect(sid, namespace, **options)

    return SiblingManager


def pack(stamp: Any, what: str, *about: Any) -> bytes:
    """A message; ``stamp`` (:class:`.order.Stamp`) if it is told to all others.

    Raises:
        pickle.PicklingError, TypeError, AttributeError: there is something in it that no other process can be given.
    """
    return pickle.dumps((stamp and tuple(stamp), what, *about), protocol=pickle.HIGHEST_PROTOCOL)


def wait_readable(number: int, seconds: Optional[float]) -> None:
    """Waits in the hub, where there is one that has patched :mod:`select`; for ever if ``seconds`` is None."""
    import select

    if hasattr(select, "poll"):  # has no limit to the number; eventlet takes it away
        poll = select.poll()
        poll.register(number, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
    else:
        select.select([number], [], [], seconds)
