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
    could as well read this process's memory.

Not promised
    Other masters, and processes that are no workers, such as Celery's: those need a message queue. A worker that begins
    is told nothing of before.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import pickle
from typing import Any, Callable, Optional

from .. import _hangup
from .._websocket import emission
from . import MESSAGES, inbox, others, send

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
            self._kind = MESSAGES + b" %d" % next(_numbers)
            self._inbox: Any = None

        def initialize(self) -> None:
            super().initialize()
            try:
                self._inbox = inbox(self._kind)
            except OSError as error:
                logger.warning("hangup: worker %d is not told what others emit: %s", os.getpid(), error)
                return
            self.server.start_background_task(self._listen)

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
            how = emission.current.get()
            # a callback for several rooms, or for everybody, is one process's: a message queue has none either
            is_elsewhere = callback is None or (isinstance(room, str) and not self._has(room, namespace))
            siblings = others() if is_elsewhere and not ignore_queue else []
            told = b""
            if siblings:  # what cannot be told is raised before anybody gets it
                what = (event, data, namespace, room, skip_sid)
                if callback is not None:
                    told = pack("ask", *what, (os.getpid(), room, self._generate_ack_id(room, callback)))
                else:
                    told = pack("emit", *what, *(() if how is None else (how.policy, how.coalesce)))
            super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid, callback=callback)
            self._tell(siblings, told)

        def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: Optional[str] = None) -> Any:
            if self._is_elsewhere(sid, namespace):
                return self._tell(others(), pack("enter", sid, namespace, room))
            return super().enter_room(sid, namespace, room, eio_sid=eio_sid)

        def leave_room(self, sid: str, namespace: str, room: Any) -> Any:
            if self._is_elsewhere(sid, namespace):
                return self._tell(others(), pack("leave", sid, namespace, room))
            return super().leave_room(sid, namespace, room)

        def close_room(self, room: Any, namespace: Optional[str] = None) -> None:
            super().close_room(room, namespace or "/")
            self._tell(others(), pack("close", room, namespace or "/"))

        def can_disconnect(self, sid: str, namespace: str) -> Any:
            if self._is_elsewhere(sid, namespace):
                self._tell(others(), pack("disconnect", sid, namespace))
                return False
            return super().can_disconnect(sid, namespace)

        def _has(self, sid: Any, namespace: str) -> bool:
            members = self.rooms.get(namespace, {}).get(None, {})
            return isinstance(sid, str) and members.get(sid) is not None

        def _is_elsewhere(self, sid: str, namespace: str) -> bool:
            """Whether a client that is not here may be another worker's."""
            return not self._has(sid, namespace) and bool(others())

        def _tell(self, siblings: list[int], message: bytes) -> None:
            for pid in siblings:
                if not send(pid, self._kind, message):
                    _hangup.tally("sibling_messages_lost")
                    logger.debug("hangup: worker %d was not told something", pid)

        def _listen(self) -> None:
            while True:
                message = self._inbox.take()
                if message is None:
                    wait_readable(self._inbox.fileno())
                    continue
                what, *about = pickle.loads(message[0])
                try:
                    getattr(self, f"_told_{what}")(*about)
                except Exception:  # of a handler, or of one message: the next ones are others'
                    logger.exception("hangup: what another worker said failed here: %s", what)

        def _told_emit(
            self, event: str, data: Any, namespace: str, room: Any, skip_sid: Any, *how: Optional[str]
        ) -> None:
            with emission.under(emission.Emission(*how) if how else None):
                super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid)

        def _told_ask(
            self, event: str, data: Any, namespace: str, room: Any, skip_sid: Any, asker: tuple[int, Any, int]
        ) -> None:
            pid, *place = asker

            def answer(*arguments: Any) -> None:
                self._tell([pid], pack("answer", *place, arguments))

            super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid, callback=answer)

        def _told_answer(self, room: Any, number: int, arguments: tuple[Any, ...]) -> None:
            self.trigger_callback(room, number, list(arguments))

        def _told_enter(self, sid: str, namespace: str, room: Any) -> None:
            if self._has(sid, namespace):
                super().enter_room(sid, namespace, room)

        def _told_leave(self, sid: str, namespace: str, room: Any) -> None:
            if self._has(sid, namespace):
                super().leave_room(sid, namespace, room)

        def _told_close(self, room: Any, namespace: str) -> None:
            super().close_room(room, namespace)

        def _told_disconnect(self, sid: str, namespace: str) -> None:
            self.server.disconnect(sid, namespace=namespace, ignore_queue=True)

    return SiblingManager


def pack(what: str, *about: Any) -> bytes:
    """A message.

    Raises:
        pickle.PicklingError, TypeError, AttributeError: there is something in it that no other process can be given.
    """
    return pickle.dumps((what, *about), protocol=pickle.HIGHEST_PROTOCOL)


def wait_readable(number: int) -> None:
    """Waits in the hub, where there is one that has patched :mod:`select`."""
    import select

    if hasattr(select, "poll"):  # has no limit to the number; eventlet takes it away
        poll = select.poll()
        poll.register(number, select.POLLIN)
        poll.poll()
    else:
        select.select([number], [], [])
