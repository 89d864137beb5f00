"""What a machine hears of a message queue: by one worker, who tells the others.

Promised
    At any time one worker of a master passes on what the queue says. When another takes over from one that leaves,
    nothing is lost, and nothing is passed on twice. When the network is back after it was away, or the queue was
    started again, it is heard again, without a restart.

How
    The serving worker with the lowest pid subscribes, and publishes a mark in the queue: what came before the mark is
    passed on by whoever did it until then, what comes after it by the new one. Others ignore marks, which are no
    messages of python-socketio. A subscription that is silent is asked for a sign of life. While nobody reaches the
    queue it is kept, because the kernel sends what was on its way when the network is back: what was said meanwhile is
    late, and not lost. If the queue is reached by a new connection, but not by this one for :data:`GRACE` seconds, it
    is made anew.

Not promised
    What is said between the end of a worker that was killed and the subscription of the next is not heard; nor what is
    said while the worker whose turn it is hangs, until gunicorn ends it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from .. import _hangup
from . import others

logger = logging.getLogger("hangup")

#: Seconds from one look to the next, at whose turn it is.
LOOK = 0.25
#: Seconds after which a silent subscription is asked for a sign of life, and after which it is late.
ASKED, LATE = 1.0, 3.0
#: Seconds for which a late one is waited for although the queue can be reached.
GRACE = 10.0
#: Seconds from one attempt to the next.
PAUSE = 0.5
#: Seconds for a worker to pass on what came before the mark of the next.
HANDOVER = 0.5
#: Before the host that subscribes. No JSON, and no pickle.
MARK = b"hangup-subscribes "


class Silent(ConnectionError):
    """The queue can be reached, but not by this connection."""


class Subscription:
    """Of one process to one queue.

    Args:
        manager: a :func:`.machines.gateway`, which knows the queue.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._sleep = manager.server.sleep
        self._mark = MARK + manager.host_id.encode()
        #: Whether nothing is heard of the queue.
        self.is_late = False
        #: Whether this process passes on what it hears.
        self.passes_on = False
        #: Whether the one before has passed on all that is its own.
        self.is_handed_over = False

    def messages(self) -> Iterator[Any]:
        """What this process is to pass on, for ever."""
        while True:
            while not (self._is_my_turn() or self.passes_on):
                self._sleep(LOOK)
            try:
                yield from self._until_handed_over()
            except Exception as error:  # of redis-py, of valkey-py, or of the system
                self._say_late(error)
                self._sleep(PAUSE)
                self.passes_on = self.passes_on and self._is_my_turn()

    @staticmethod
    def _is_my_turn() -> bool:
        return min((pid for pid, _ in _hangup.loads()), default=0) == os.getpid()

    def _until_handed_over(self) -> Iterator[Any]:
        client = self._manager.queue_client()
        subscription = client.pubsub()
        try:
            subscription.subscribe(self._manager.channel)
            self.is_handed_over = False
            for message in self._arrivals(subscription):
                if message["type"] == "subscribe" and not self.passes_on:
                    client.publish(self._manager.channel, self._mark)
                elif message["type"] == "message":
                    data = message["data"]
                    said = data.encode() if isinstance(data, str) else data  # as its application wants it
                    if said.startswith(MARK):
                        if self._is_handed_to(said):
                            return
                    elif self.passes_on:
                        yield data
        finally:
            subscription.close()

    def _is_handed_to(self, mark: bytes) -> bool:
        """Minds a mark. True if another worker of this machine passes on what follows."""
        if mark == self._mark:
            self._wait_for_the_one_before()
            self.passes_on = True
            return False
        host = mark[len(MARK) :].decode(errors="replace")
        pid = self._manager.sibling_of(host)
        if pid is None or not self.passes_on:
            return False
        self.passes_on = False
        self._manager.hand_over_to(pid)
        return True

    def _wait_for_the_one_before(self) -> None:
        patience = time.monotonic() + HANDOVER
        while others() and not self.is_handed_over and time.monotonic() < patience:
            self._sleep(LOOK / 25)

    def _arrivals(self, subscription: Any) -> Iterator[dict[str, Any]]:
        """What comes.

        Raises:
            Silent: nothing does.
        """
        heard = asked = time.monotonic()
        reached = None
        while True:
            message = subscription.get_message(timeout=LOOK)
            now = time.monotonic()
            if message is not None:
                heard, reached = now, None
                self._say_in_time()
                yield message
            elif now > max(heard, asked) + ASKED:
                subscription.ping()
                asked = now
                if now > heard + LATE:
                    self._say_late(Silent("it is silent"))
                    reached = (reached or now) if self._reaches() else None
            if reached is not None and now > reached + GRACE:
                raise Silent("the connection is silent")

    def _reaches(self) -> bool:
        try:
            client = self._manager.queue_client()
            with client:
                client.ping()
        except Exception:  # as above
            return False
        return True

    def _say_late(self, error: Exception) -> None:
        if not self.is_late:
            logger.warning("hangup: nothing is heard of the message queue: %s", error)
        self.is_late = True

    def _say_in_time(self) -> None:
        if self.is_late:
            logger.warning("hangup: the message queue is heard again")
        self.is_late = False
