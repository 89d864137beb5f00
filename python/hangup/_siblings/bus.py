"""Emits, rooms and disconnects that reach the clients of all workers of a master, without a message queue.

Promised
    What one of python-socketio's managers for message queues does for all its processes, this one does for the workers
    of one master: emits, ``close_room``, ``disconnect``, ``enter_room`` and ``leave_room`` of anybody's client, and
    ``call()`` with the answer of a client of another worker. Where there is one worker, nothing is sent.
    A worker that has no room for a message in a second does not get it: that is said, and counted.

How
    A manager of python-socketio's ``PubSubManager``, behind which the native one stands, in each worker
    (names used: socketio/pubsub_manager.py, 5.10.0 to 5.18.1). Messages are pickled: whoever may send one is the same
    user, who could as well read this process's memory.

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
import uuid
from collections.abc import Iterator
from typing import Any

from .. import _hangup
from .._websocket import emission
from . import MESSAGES, inbox, others, send

logger = logging.getLogger("hangup")
#: Of an application's servers, which all workers make in the same order.
_numbers = itertools.count()


@functools.cache
def sibling_manager() -> Any:
    """The class: python-socketio is imported when it is first asked for."""
    from socketio.pubsub_manager import PubSubManager

    class SiblingManager(PubSubManager):  # type: ignore[misc]
        """Stands in for ``socketio.Manager`` in a worker with siblings."""

        name = "siblings"

        def join_siblings(self) -> None:
            """What ``PubSubManager.__init__`` does, of a manager that there is already."""
            self.channel, self.write_only, self.host_id = "socketio", False, uuid.uuid4().hex
            self._kind = MESSAGES + b" %d" % next(_numbers)
            if not hasattr(self, "logger"):
                self.logger = None

        def initialize(self) -> None:
            try:
                self._inbox = inbox(self._kind)  # in the worker: with its first request
            except OSError as error:
                logger.warning("hangup: worker %d is not told what others emit: %s", os.getpid(), error)
                self.write_only = True  # then nobody listens
            super().initialize()

        def emit(self, event: str, data: Any, namespace: Any = None, room: Any = None, **kwargs: Any) -> None:
            room = kwargs.pop("to", None) or room
            namespace = namespace or "/"
            how = emission.current.get()
            # python-socketio calls back for everybody in one process alone; of one client, wherever it is
            if kwargs.get("callback") is not None and room is not None and not kwargs.get("ignore_queue"):
                super().emit(event, data, namespace=namespace, room=room, **kwargs)
                return
            is_own = kwargs.pop("ignore_queue", False) or kwargs.get("callback") is not None
            siblings = [] if is_own else others()
            message = {"event": event, "data": data, "namespace": namespace, "room": room}
            message["skip_sid"] = kwargs.get("skip_sid")
            if how is not None:
                message["how"] = (how.policy, how.coalesce)
            # what cannot be told is raised before anybody gets it
            packed = packet("emit", self.host_id, as_it_is=message) if siblings else b""
            super().emit(event, data, namespace=namespace, room=room, ignore_queue=True, **kwargs)
            self._tell(siblings, packed)

        def _handle_emit(self, message: dict[str, Any]) -> None:
            as_it_is = message.get("as_it_is")
            if as_it_is is None:
                super()._handle_emit(message)
                return
            how = as_it_is.pop("how", None)
            with emission.under(None if how is None else emission.Emission(*how)):
                super().emit(as_it_is.pop("event"), as_it_is.pop("data"), ignore_queue=True, **as_it_is)

        def _stock(self) -> Any:
            """The manager for several processes; while it is alone that for one, which refuses unknown clients."""
            return super() if others() else super(PubSubManager, self)

        def enter_room(self, *args: Any, **kwargs: Any) -> Any:
            return self._stock().enter_room(*args, **kwargs)

        def leave_room(self, *args: Any, **kwargs: Any) -> Any:
            return self._stock().leave_room(*args, **kwargs)

        def can_disconnect(self, *args: Any, **kwargs: Any) -> Any:
            return self._stock().can_disconnect(*args, **kwargs)

        def _publish(self, data: dict[str, Any]) -> None:
            siblings = others()
            if siblings:
                self._tell(siblings, pickle.dumps(data, protocol=pickle.HIGHEST_PROTOCOL))

        def _tell(self, siblings: list[int], message: bytes) -> None:
            for pid in siblings:
                if not send(pid, self._kind, message):
                    _hangup.tally("sibling_messages_lost")
                    logger.debug("hangup: worker %d was not told something", pid)

        def _listen(self) -> Iterator[dict[str, Any]]:
            while True:
                message = self._inbox.take()
                if message is None:
                    wait_readable(self._inbox.fileno())
                else:
                    yield pickle.loads(message[0])

    return SiblingManager


def packet(method: str, host_id: str, **more: Any) -> bytes:
    """A message, as ``PubSubManager`` has them.

    Raises:
        pickle.PicklingError, TypeError, AttributeError: there is something in it that no other process can be given.
    """
    return pickle.dumps({"method": method, "host_id": host_id, **more}, protocol=pickle.HIGHEST_PROTOCOL)


def wait_readable(number: int) -> None:
    """Waits in the hub, where there is one that has patched :mod:`select`."""
    import select

    if hasattr(select, "poll"):  # has no limit to the number; eventlet takes it away
        poll = select.poll()
        poll.register(number, select.POLLIN)
        poll.poll()
    else:
        select.select([number], [], [])
