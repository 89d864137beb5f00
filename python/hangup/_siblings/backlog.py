"""What is on its way to a message queue.

Promised
    Whoever publishes does not wait for the queue, however it hangs, and order is kept. While the queue cannot be
    reached, what is published waits, :data:`MESSAGES` and :data:`SIZE` at most: beyond that the oldest are dropped,
    which is counted (``queue_messages_lost``) and logged once. When it can be reached again, the rest is sent.

How
    A task of the server's model sends what waits, several messages in a round trip. It stands in for a client of
    redis-py or valkey-py, as far as ``publish`` goes.

Not promised
    What was sent when the connection broke is sent again: a receiver that does not look at numbers may have it twice.
"""

from __future__ import annotations

import collections
import logging
import threading
from typing import Any, Callable

from .. import _hangup

logger = logging.getLogger("hangup")

#: How many messages wait at most, and how many bytes.
MESSAGES, SIZE = 10_000, 64 * 1024 * 1024
#: Messages in one round trip.
BATCH = 100
#: Attempts at a message that a queue which answers does not take.
ATTEMPTS = 3
#: Seconds from one attempt to the next.
PAUSE = 0.5

Message = tuple[str, bytes]


class Backlog:
    """Of one process, and one queue.

    Args:
        connect: makes a client of the queue, which has timeouts.
        sleep: waits, in the server's model.
    """

    def __init__(self, connect: Callable[[], Any], sleep: Callable[[float], Any]) -> None:
        self._connect = connect
        self._sleep = sleep
        self._client: Any = None
        self._changed = threading.Condition()
        self._waiting: collections.deque[Message] = collections.deque()
        self._size = 0
        self._under_way: list[Message] = []
        self._lost = 0
        #: Whether the queue did not answer when it was last asked.
        self.is_cut_off = False

    @property
    def is_empty(self) -> bool:
        """Whether everything was sent."""
        return not self._waiting and not self._under_way

    def publish(self, channel: str, payload: bytes) -> None:
        """Has it sent."""
        with self._changed:
            self._waiting.append((channel, payload))
            self._size += len(payload)
            while len(self._waiting) > MESSAGES or self._size > SIZE:
                self._size -= len(self._waiting.popleft()[1])
                self._lose("too much waits for it")
            self._changed.notify()

    def run(self) -> None:
        """Sends, for ever. In a task of its own."""
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                for _ in range(min(BATCH, len(self._waiting))):
                    self._under_way.append(self._waiting.popleft())
                self._size -= sum(len(payload) for _, payload in self._under_way)
            self._deliver()

    def _deliver(self) -> None:
        failures = 0
        while self._under_way:
            if not self._reach():
                self._sleep(PAUSE)
                continue
            part = self._under_way[:1] if failures else self._under_way
            error = self._send(part)
            if error is None:
                failures = 0
                self._under_way = self._under_way[len(part) :]
                continue
            failures += 1
            if failures > ATTEMPTS:
                self._lose(f"it refuses one: {error}")
                self._under_way, failures = self._under_way[1:], 0

    def _reach(self) -> bool:
        if self._client is not None:
            return True
        try:
            client = self._connect()
            client.ping()
        except Exception as error:  # of redis-py, of valkey-py, or of the system
            if not self.is_cut_off:
                logger.warning("hangup: the message queue does not answer, what is emitted waits: %s", error)
            self.is_cut_off = True
            return False
        if self.is_cut_off:
            logger.warning("hangup: the message queue answers again; %d messages were dropped", self._lost)
        self._client, self._lost, self.is_cut_off = client, 0, False
        return True

    def _send(self, messages: list[Message]) -> Any:
        """What went wrong; None if nothing did."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            for channel, payload in messages:
                pipeline.publish(channel, payload)
            pipeline.execute()
        except Exception as error:  # as above
            self._client = None
            return error
        return None

    def _lose(self, why: str) -> None:
        if not self._lost:
            logger.warning("hangup: messages for the message queue are dropped: %s", why)
        self._lost += 1
        _hangup.tally("queue_messages_lost")
