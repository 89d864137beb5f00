"""Several machines, and a message queue between them: python-socketio's manager for Redis, or Valkey.

Promised
    What python-socketio's manager does for all its processes, it does for the workers of this master over their bus
    (:mod:`.bus`), whatever becomes of the queue, and for other machines over the queue. What comes from another machine
    comes in once, and is passed on to each worker. Nobody who emits waits for the queue (:mod:`.backlog`), which may
    come and go (:mod:`.subscription`). Processes without hangup take part, such as Celery's.

How
    python-socketio's manager stands in front of the one for siblings: what it takes for its own process is the machine.
    Hosts have names that tell whose worker they are. Messages have numbers, which python-socketio ignores, and each is
    heard once (names used: socketio/pubsub_manager.py, socketio/redis_manager.py, 5.10.0 to 5.18.1).

Not promised
    Managers of other queues, and subclasses that do in their own way what is done here in another, stay as they are.
    Emits of several workers come to another machine in no particular order among each other.
"""

from __future__ import annotations

import atexit
import copy
import functools
import hashlib
import importlib.util
import os
import secrets
import threading
import time
from typing import Any, Callable, Optional

from .. import _hangup
from . import secret
from .backlog import Backlog
from .belongings import answer_machine
from .bus import pack, sibling_manager
from .subscription import Subscription

#: Seconds for a client of a queue to connect, and to be answered, where its application says nothing.
PATIENCE = 2.0
#: Seconds for which a process that ends waits until the queue has what it said, and another worker hears the queue.
END = 2.0
#: Hosts whose last number is known.
HOSTS = 10_000

#: What a manager has to have of ``RedisManager``.
_STOCK = (
    "can_disconnect",
    "close_room",
    "disconnect",
    "emit",
    "enter_room",
    "leave_room",
    "_handle_callback",
    "_handle_close_room",
    "_handle_disconnect",
    "_handle_emit",
    "_handle_enter_room",
    "_handle_leave_room",
    "_listen",
    "_publish",
    "_redis_connect",
    "_return_callback",
    "_thread",
)


def judge(manager: Any) -> bool:
    """Whether it is a manager for Redis that emits and listens as python-socketio's does."""
    from socketio import RedisManager

    from .._websocket.manager import native_manager

    if not isinstance(manager, native_manager()):
        return False
    if not isinstance(manager, RedisManager) or manager.write_only:
        return False
    return all(getattr(type(manager), name, None) is getattr(RedisManager, name) for name in _STOCK)


def with_siblings(stock: Any) -> Any:
    """``stock``, a class of managers for Redis, for a worker with siblings. Its objects need ``join_siblings``."""
    from .._websocket.manager import native

    return type(stock.__name__, (gateway(), stock, native(sibling_manager())), {"__doc__": stock.__doc__})


@functools.cache
def gateway() -> Any:
    """What stands before python-socketio's manager, as a class: it is imported when it is first asked for."""
    from socketio.pubsub_manager import PubSubManager

    class Gateway(PubSubManager):  # type: ignore[misc]
        """Of a machine, in each of its workers."""

        redis: Any
        redis_options: Any

        def join_siblings(self) -> None:
            super().join_siblings()
            self.subscription: Any = None
            self._backlog: Any = None

        def initialize(self) -> None:
            self._machine = hashlib.blake2b(self.kind, key=secret() or b"", digest_size=8).hexdigest()
            self.host_id = f"{self._machine}-{os.getpid()}-{secrets.token_hex(4)}"
            self._heard: dict[str, int] = {}
            self._number, self._numbering = 0, threading.Lock()
            self.redis_options = {**_timeouts(self.redis_url), **self.redis_options}
            self._backlog = Backlog(self.queue_client, self.server.sleep)
            self._desk: Any = copy.copy(self)
            self._desk.__dict__.update(redis=self._backlog, connected=True)
            self.subscription = Subscription(self)
            super().initialize()
            self.server.start_background_task(self._backlog.run)
            atexit.register(self._end, os.getpid())

        def queue_client(self) -> Any:
            """A client of the queue, of its own."""
            other = copy.copy(self)
            super(Gateway, other)._redis_connect()
            if self.redis is None:  # an application may look for it there
                self.redis = other.redis
            return other.redis

        def _publish(self, data: dict[str, Any]) -> Any:
            if self._backlog is None:  # in the master
                return super()._publish(data)
            with self._numbering:
                self._number += 1
                return super(Gateway, self._desk)._publish({**data, "number": self._number})

        def _listen(self) -> Any:
            return self.subscription.messages()

        def _end(self, pid: int) -> None:
            patience = time.monotonic() + END
            while pid == os.getpid() and time.monotonic() < patience and not self._may_end():
                self.server.sleep(0.01)

        def _may_end(self) -> bool:
            is_alone = not [pid for pid, _ in _hangup.loads() if pid != os.getpid()]
            is_said = self._backlog.is_empty or self._backlog.is_cut_off
            is_heard = self.subscription.passes_on and not self.subscription.is_late
            return is_said and (is_alone or not is_heard)

        # Who says it

        def sibling_of(self, host: Any) -> Optional[int]:
            """The pid of a worker of this machine, by the name of its host; None for another's."""
            machine, _, worker = str(host).partition("-")
            pid = worker.partition("-")[0]
            return int(pid) if machine == self._machine and pid.isdecimal() else None

        def _is_news(self, message: dict[str, Any]) -> bool:
            """Whether this machine has not got it yet."""
            host, number = message.get("host_id"), message.get("number")
            if host == self.host_id:  # on its way to the queue
                return True
            if self.sibling_of(host) is not None:
                return False
            if isinstance(host, str) and isinstance(number, int):
                last = self._heard.pop(host, 0)
                self._heard[host] = max(last, number)
                if len(self._heard) > HOSTS:
                    del self._heard[next(iter(self._heard))]
                return number > last
            return True

        def hand_over_to(self, pid: int) -> None:
            """Another worker hears the queue from now on."""
            self.tell([pid], pack(None, "handed_over"))

        def _told_handed_over(self) -> None:
            self.subscription.is_handed_over = True

        # What is said

        def emit(self, *args: Any, ignore_queue: bool = False, **kwargs: Any) -> Any:
            if ignore_queue:
                return super(PubSubManager, self).emit(*args, ignore_queue=True, **kwargs)
            return super().emit(*args, **kwargs)

        def can_disconnect(self, sid: str, namespace: str) -> Any:
            with self.gate:
                return super().can_disconnect(sid, namespace)

        def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: Optional[str] = None) -> Any:
            with self.gate:
                if self._is_elsewhere(sid, namespace):
                    self._tell_all("enter", sid, namespace, room)
                return super().enter_room(sid, namespace, room, eio_sid=eio_sid)

        def leave_room(self, sid: str, namespace: str, room: Any) -> Any:
            with self.gate:
                if self._is_elsewhere(sid, namespace):
                    self._tell_all("leave", sid, namespace, room)
                return super().leave_room(sid, namespace, room)

        # What is heard, or was said here

        def _handle_emit(self, message: dict[str, Any]) -> None:
            if self._is_news(message):
                super()._handle_emit(message)

        def _handle_close_room(self, message: dict[str, Any]) -> None:
            if self._is_news(message):
                super()._handle_close_room(message)

        def _handle_disconnect(self, message: dict[str, Any]) -> None:
            if self._is_news(message) and not self._passed_on("disconnect", message):
                super()._handle_disconnect(message)

        def _handle_enter_room(self, message: dict[str, Any]) -> None:
            if self._is_news(message) and not self._passed_on("enter", message, "room"):
                super()._handle_enter_room(message)

        def _handle_leave_room(self, message: dict[str, Any]) -> None:
            if self._is_news(message) and not self._passed_on("leave", message, "room"):
                super()._handle_leave_room(message)

        def _passed_on(self, what: str, message: dict[str, Any], *about: str) -> bool:
            """Whether it is not about a client of this worker."""
            sid, namespace = message["sid"], message["namespace"]
            with self.gate:
                if not self._is_elsewhere(sid, namespace):
                    return False
                self._tell_all(what, sid, namespace, *[message[name] for name in about])
                return True

        # Acknowledgements

        def _asker(self, room: str, callback: Callable[..., Any]) -> tuple[Any, ...]:
            asker: tuple[Any, ...] = callback.args  # type: ignore[attr-defined]  # of _handle_emit()
            return asker

        def _answering(self, asker: tuple[Any, ...]) -> Callable[..., Any]:
            return functools.partial(answer_machine, self.kind, *asker)

        def _told_answer_machine(
            self, host: str, room: Any, namespace: str, number: int, arguments: tuple[Any, ...]
        ) -> None:
            self._return_callback(host, room, namespace, number, *arguments)

        def _return_callback(
            self, host_id: str, sid: Any, namespace: str, callback_id: int, *args: Any
        ) -> None:
            pid = self.sibling_of(host_id)
            if pid is None or host_id == self.host_id:
                super()._return_callback(host_id, sid, namespace, callback_id, *args)
            else:
                self.tell([pid], pack(None, "answer", sid, callback_id, args))

        def _handle_callback(self, message: dict[str, Any]) -> None:
            pid = self.sibling_of(message.get("host_id"))
            if pid is None or pid == os.getpid():
                super()._handle_callback(message)
            else:
                self.tell([pid], pack(None, "answer", message["sid"], message["id"], message["args"]))

    return Gateway


def _timeouts(url: str) -> dict[str, Any]:
    """Without them a client waits until the kernel gives up, and then tries the same again."""
    library = "valkey" if url.startswith("valkey") or not importlib.util.find_spec("redis") else "redis"
    timeouts: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    if importlib.util.find_spec(library):
        retry, backoff = (importlib.import_module(f"{library}.{name}") for name in ("retry", "backoff"))
        timeouts["retry"] = retry.Retry(backoff.NoBackoff(), 0)
    return timeouts
