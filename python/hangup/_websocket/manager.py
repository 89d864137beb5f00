"""A client manager of python-socketio whose emits are native: one encode, one frame, every recipient.

Promised
    A client that left is nobody's exception: neither the emitter's, nor in the way of the others. Order among what one
    client is sent (emits, acknowledgements, ``send``) is the order of the calls; a binary event and its attachments are
    not separated. What cannot be serialised is raised, before anybody gets it.
    Leaving costs what the client's own rooms cost: stock asks every room of the namespace, and each client has one, so
    that 10,000 leaves ask 100 million times. Two threads at the books do not lose an entry, nor raise.

How
    The books (``manager.rooms``) stay python-socketio's, changed one at a time. A room has a native group of clients
    from the first time something is emitted to it; who enters and leaves does so in both. A client that is polling, or
    that is not of this transport (a test client), is served by python-socketio, behind the others.
    (Names used: socketio/base_manager.py, socketio/manager.py, 5.10.0 to 5.18.1.)

Not promised
    Emits with a callback are python-socketio's, one packet for each recipient. Managers that keep their books in a way
    of their own are left alone.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

from .. import _hangup
from . import culprit, emission, tasks
from .engineio import MAX_QUEUED, SlowClients, says_packets
from .outlet import MESSAGE, send_together


class Room:
    """Who is in a room: clients of this transport, and strangers.

    Args:
        members: eio_sid and mailbox of each; None for a stranger.
    """

    __slots__ = ("_names", "group", "mailboxes", "strangers")

    def __init__(self, members: Iterable[tuple[str, Any]]) -> None:
        self.group = _hangup.Group()
        self.mailboxes: dict[str, Any] = {}
        self.strangers: set[str] = set()
        self._names: dict[int, str] = {}
        for eio_sid, mailbox in members:
            self.add(eio_sid, mailbox)

    def add(self, eio_sid: str, mailbox: Any) -> None:
        if mailbox is None:
            self.strangers.add(eio_sid)
            return
        self.mailboxes[eio_sid] = mailbox
        self._names[mailbox.id] = eio_sid
        self.group.add(mailbox)

    def discard(self, eio_sid: str) -> None:
        self.strangers.discard(eio_sid)
        mailbox = self.mailboxes.pop(eio_sid, None)
        if mailbox is not None:
            del self._names[mailbox.id]
            self.group.discard(mailbox)

    def named(self, ids: Iterable[int]) -> set[str]:
        """Those whose mailboxes have these ids, as far as they are still there."""
        return {name for name in map(self._names.get, ids) if name is not None}


class Encoded(NamedTuple):
    """An event on its way.

    Attributes:
        parts: text and attachments.
        message: the same, framed.
        how: how it is delivered.
    """

    parts: list[Any]
    message: Any
    how: emission.Emission

    def send(self, mailbox: Any) -> Any:
        """To one client (``Message.send``)."""
        return self.message.send(mailbox, self.how.policy, self.how.coalesce)


class Backlog(NamedTuple):
    """How far a client is behind.

    Attributes:
        queued: bytes that wait for it.
        dropped: events that it does not get, for want of room.
        coalesced: events that waited, and were replaced by a newer one of their key.
    """

    queued: int = 0
    dropped: int = 0
    coalesced: int = 0


@functools.cache
def native_manager() -> Any:
    """The class: python-socketio is imported when it is first asked for."""
    from engineio import packet as eio_packet
    from socketio import packet
    from socketio.manager import Manager

    class NativeManager(Manager):  # type: ignore[misc]
        """Stands in for ``socketio.Manager``, alone or behind a manager of a message queue.

        Args:
            policy: what to do with an event for which a client's queue has no room: ``close`` its connection with 1013,
                ``drop_oldest`` or ``drop_newest`` of its events, or ``block`` the emitter until there is room.
            budget: how large a client's queue may become, in bytes.
        """

        def __init__(self, *args: Any, policy: str = "close", budget: int = MAX_QUEUED, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.keep_books(policy, budget)

        def keep_books(self, policy: str = "close", budget: int = MAX_QUEUED) -> None:
            """Begins, without clients."""
            #: What is done about clients that do not keep up.
            self.slow_clients = SlowClients(emission.checked(policy), budget)
            self._turn = threading.RLock()
            self._rooms_of: dict[tuple[str, str], set[Any]] = {}
            self._rooms: dict[tuple[str, Any], Room] = {}

        def set_server(self, server: Any) -> None:
            super().set_server(server)
            from .._install import take_over_socketio

            take_over_socketio(server)

        def pre_connect(self, *args: Any, **kwargs: Any) -> Any:
            with self._turn:
                return super().pre_connect(*args, **kwargs)

        def connect(self, *args: Any, **kwargs: Any) -> Any:
            with self._turn:
                return super().connect(*args, **kwargs)

        def pre_disconnect(self, *args: Any, **kwargs: Any) -> Any:
            with self._turn:
                return super().pre_disconnect(*args, **kwargs)

        def basic_enter_room(self, sid: str, namespace: str, room: Any, *args: Any, **kwargs: Any) -> Any:
            with self._turn:
                entered = super().basic_enter_room(sid, namespace, room, *args, **kwargs)
                self._rooms_of.setdefault((namespace, sid), set()).add(room)
                known = self._rooms.get((namespace, room))
                if known is not None:
                    eio_sid = self.rooms[namespace][room][sid]
                    known.add(eio_sid, self._mailbox(eio_sid))
                return entered

        def basic_leave_room(self, sid: str, namespace: str, room: Any) -> Any:
            with self._turn:
                members = self.rooms.get(namespace, {}).get(room, {})
                eio_sid = members.get(sid)
                left = super().basic_leave_room(sid, namespace, room)
                self._rooms_of.get((namespace, sid), set()).discard(room)
                known = self._rooms.get((namespace, room))
                if known is not None:
                    known.discard(eio_sid)
                    if not members:
                        del self._rooms[namespace, room]
                return left

        def basic_disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
            with self._turn:
                for room in self._rooms_of.pop((namespace, sid), ()):
                    self.basic_leave_room(sid, namespace, room)
                self.callbacks.pop(sid, None)
                for pending in (getattr(self, "pending_connect", {}), self.pending_disconnect):
                    sids = pending.get(namespace, [])
                    if sid in sids:
                        sids.remove(sid)
                        if not sids:
                            del pending[namespace]

        def _mailbox(self, eio_sid: str) -> Any:
            """None for a client that is not of this transport."""
            session = self.server.eio.sockets.get(eio_sid)
            return getattr(getattr(session, "queue", None), "mailbox", None)

        def _owner(self, namespace: str, room: Any) -> Optional[str]:
            """The client whose own room it is, and who is alone there."""
            if not isinstance(room, str):
                return None
            members = self.rooms.get(namespace, {}).get(room, {})
            is_alone = len(members) == 1  # older versions let guests in; asked first, because they may stay
            eio_sid: Optional[str] = members.get(room)
            return eio_sid if is_alone else None

        def _room(self, namespace: str, room: Any) -> Optional[Room]:
            known = self._rooms.get((namespace, room))
            if known is not None:
                return known
            with self._turn:
                members = self.rooms.get(namespace, {}).get(room)
                if members is None:
                    return None
                there = [(eio_sid, self._mailbox(eio_sid)) for eio_sid in members.values()]
                return self._rooms.setdefault((namespace, room), Room(there))

        def waiting(self) -> Any:
            """Around a wait for a client."""
            return contextlib.nullcontext()

        def forward(self, eio_sid: str, parts: list[Any]) -> bool:
            """Sends to a client that has moved to another process. False if it has not."""
            return False

        def backlog(self, sid: str, namespace: str = "/") -> Backlog:
            """What a client has not read yet, and never will. Zeros for one that has no native connection."""
            session = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
            native = getattr(getattr(session, "queue", None), "native", None)
            return Backlog() if native is None else Backlog(native.queued, native.dropped, native.coalesced)

        def emit(
            self,
            event: str,
            data: Any,
            namespace: str,
            room: Any = None,
            skip_sid: Any = None,
            callback: Any = None,
            to: Any = None,
            **kwargs: Any,
        ) -> None:
            room = to or room
            if callback is not None:
                super().emit(
                    event, data, namespace, room=room, skip_sid=skip_sid, callback=callback, **kwargs
                )
                return
            if namespace not in self.rooms:
                return
            arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
            packed = self.server.packet_class(
                packet.EVENT, namespace=namespace, data=[event, *arguments]
            ).encode()
            parts = packed if isinstance(packed, list) else [packed]
            skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
            how = emission.current.get() or emission.Emission()
            encoded = Encoded(parts, _hangup.Message(parts, MESSAGE), how)
            eio_sid = self._owner(namespace, room)
            if eio_sid is not None:
                rest = set() if room in skipped else self._send(encoded, eio_sid)
            else:
                rest = self._broadcast(encoded, namespace, room, skipped)
            if rest:
                self._send_stock(encoded, rest)

        def _send(self, encoded: Encoded, eio_sid: str) -> set[str]:
            """To one client. Returns those who are python-socketio's to serve."""
            mailbox = self._mailbox(eio_sid)
            if mailbox is None:
                return {eio_sid}
            outcome = encoded.send(mailbox)
            while outcome == "refused":
                session = self.server.eio.sockets.get(eio_sid)
                if session is None:
                    outcome = "gone"
                else:
                    tasks.step_aside()
                    with self.waiting():
                        session.queue.wait_for_room()
                    outcome = encoded.send(mailbox)
            if outcome is None:
                return {eio_sid}
            if outcome == "gone" and self.forward(eio_sid, encoded.parts):
                outcome = "queued"  # in another process
            self._log(encoded, {eio_sid})
            encoded.how.count(outcome)
            return set()

        def _broadcast(self, encoded: Encoded, namespace: str, room: Any, skipped: list[Any]) -> set[str]:
            """To rooms. Returns those who are python-socketio's to serve."""
            names = [room] if isinstance(room, str) or not hasattr(room, "__len__") else room
            rooms = [known for name in names if (known := self._room(namespace, name)) is not None]
            everybody = self.rooms.get(namespace, {}).get(None, {})
            left_out = {everybody.get(sid) for sid in skipped if isinstance(sid, str)}
            mailboxes = [known.mailboxes.get(eio_sid) for known in rooms for eio_sid in left_out]
            ids = [mailbox.id for mailbox in mailboxes if mailbox is not None]
            how = encoded.how
            *fates, elsewhere, refused = encoded.message.broadcast(
                [known.group for known in rooms], ids, how.policy, how.coalesce
            )
            how.add(*fates)
            rest: set[str] = set()
            for known in rooms:
                rest |= known.strangers - left_out
                if elsewhere:
                    rest |= known.named(elsewhere)
            again: set[str] = set().union(*(known.named(refused) for known in rooms)) if refused else set()
            if self._logs():
                served = {eio_sid for known in rooms for eio_sid in list(known.mailboxes)}
                self._log(encoded, served - left_out - rest - again)
            for eio_sid in again:
                rest |= self._send(encoded, eio_sid)
            return rest

        def _send_stock(self, encoded: Encoded, eio_sids: set[str]) -> None:
            packets = [eio_packet.Packet(eio_packet.MESSAGE, part) for part in encoded.parts]
            with emission.under(None):  # a handler may run here: python-socketio looks for silent clients
                for eio_sid in eio_sids:
                    encoded.how.count(self._send_to_stranger(eio_sid, packets))

        def _send_to_stranger(self, eio_sid: str, packets: list[Any]) -> str:
            if emission.fate(self.server, eio_sid) == "gone":
                return "gone"
            try:
                send_together(self.server, eio_sid, packets)
            except culprit.possible() as error:
                if culprit.origin(error) != "transport":
                    raise
                return culprit.fate(error)
            return emission.fate(self.server, eio_sid)  # sending is where engineio finds out who has left

        def _logs(self) -> bool:
            return says_packets(self.server.eio.logger)

        def _log(self, encoded: Encoded, eio_sids: set[str]) -> None:
            """What engineio says of each packet."""
            if not self._logs():
                return
            for eio_sid in eio_sids:
                for part in encoded.parts:
                    data = part if isinstance(part, str) else "<binary>"
                    self.server.eio.logger.info("%s: Sending packet %s data %s", eio_sid, "MESSAGE", data)

    return NativeManager


@functools.cache
def native(stock: Any) -> Any:
    """``stock``, a class of managers, with the native manager behind it."""
    from socketio.manager import Manager

    base = native_manager()
    if issubclass(stock, base):
        return stock
    if stock is Manager:
        return base

    def __init__(
        self: Any, *args: Any, policy: str = "close", budget: int = MAX_QUEUED, **kwargs: Any
    ) -> None:
        stock.__init__(self, *args, **kwargs)
        self.keep_books(policy, budget)

    return type(f"Native{stock.__name__}", (stock, base), {"__init__": __init__, "__doc__": stock.__doc__})


def judge(manager: Any) -> bool:
    """Whether a manager keeps python-socketio's own books, and emits as it does."""
    from socketio.base_manager import BaseManager
    from socketio.manager import Manager

    if not isinstance(manager, Manager) or isinstance(manager, native_manager()):
        return False
    if hasattr(type(manager).__init_subclass__, "__func__"):
        return False  # an application's: it may ask of a subclass what ours does not have
    books = (
        "basic_enter_room",
        "basic_leave_room",
        "basic_close_room",
        "basic_disconnect",
        "get_participants",
    )
    if any(getattr(type(manager), name, None) is not BaseManager.__dict__.get(name) for name in books):
        return False
    return hasattr(manager, "callbacks") and hasattr(manager, "pending_disconnect")
