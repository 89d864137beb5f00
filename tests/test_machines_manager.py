"""What a worker with siblings makes of python-socketio's managers for message queues, and what waits for a queue."""

from __future__ import annotations

import logging
import secrets
import threading
from typing import Any

import pytest
from hangup import _siblings, install, stats, uninstall
from hangup._demo.server import wait_until
from hangup._siblings import backlog
from hangup._siblings.bus import sibling_manager

socketio = pytest.importorskip("socketio")
pytest.importorskip("redis")


@pytest.fixture(autouse=True)
def _worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a master that has several."""
    monkeypatch.setattr(_siblings, "_secret", secrets.token_bytes(16))
    install()
    yield
    uninstall()


def manager_of(given: Any) -> Any:
    return socketio.Server(async_mode="threading", client_manager=given).manager


def test_a_manager_for_redis_has_siblings() -> None:
    """It stays what it was, and what it publishes before its worker serves goes where it went."""
    from hangup.flask_socketio import NativeRedisManager

    for kind in (socketio.RedisManager, NativeRedisManager):
        manager = manager_of(kind("redis://127.0.0.1:1", channel="a channel"))
        assert isinstance(manager, sibling_manager())
        assert isinstance(manager, kind)
        assert manager.channel == "a channel"
    named = manager_of(NativeRedisManager("redis://127.0.0.1:1", policy="drop_oldest"))
    assert named.slow_clients.policy == "drop_oldest"


class Own(socketio.RedisManager):  # type: ignore[misc]
    """An application's, which does something of its own with what is emitted."""

    def emit(self, *args: Any, **kwargs: Any) -> None:
        super().emit(*args, **kwargs)


@pytest.mark.parametrize(
    "given",
    [
        lambda: socketio.RedisManager("redis://127.0.0.1:1", write_only=True),
        lambda: socketio.PubSubManager("a channel"),
        lambda: Own("redis://127.0.0.1:1"),
    ],
    ids=["write_only", "another queue", "an application's"],
)
def test_other_managers_stay_as_they_are(given: Any) -> None:
    """They are heard by each worker for itself."""
    assert not isinstance(manager_of(given()), sibling_manager())


class Queue:
    """A client of a message queue, and its pipeline."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.reached = threading.Event()
        self.refused = b"refused"
        self._batch: list[bytes] = []

    def ping(self) -> None:
        if not self.reached.is_set():
            raise ConnectionError("no route")

    def pipeline(self, transaction: bool) -> Queue:
        assert not transaction
        self._batch = []
        return self

    def publish(self, _channel: str, payload: bytes) -> None:
        self._batch.append(payload)

    def execute(self) -> None:
        self.ping()
        if self.refused in self._batch:
            raise ValueError("too long")
        self.said += self._batch


def running(queue: Queue) -> backlog.Backlog:
    made = backlog.Backlog(lambda: queue, lambda _seconds: threading.Event().wait(0.001))
    threading.Thread(target=made.run, daemon=True).start()
    return made


def test_what_waits_is_said_in_order_when_the_queue_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """One line says that it is away, and one that it is back."""
    queue = Queue()
    waiting = running(queue)
    wanted = [b"%d" % number for number in range(1000)]
    with caplog.at_level(logging.WARNING, "hangup"):
        for payload in wanted[:500]:
            waiting.publish("channel", payload)
        assert wait_until(lambda: waiting.is_cut_off, 5)
        assert not queue.said
        queue.reached.set()
        for payload in wanted[500:]:
            waiting.publish("channel", payload)
        assert wait_until(lambda: queue.said == wanted, 5)
        assert wait_until(lambda: waiting.is_empty, 5)
    assert [record.getMessage() for record in caplog.records] == [
        "hangup: the message queue does not answer, what is emitted waits: no route",
        "hangup: the message queue answers again; 0 messages were dropped",
    ]


@pytest.mark.parametrize(("limit", "value"), [("MESSAGES", 10), ("SIZE", 100)])
def test_the_oldest_are_dropped_when_too_much_waits(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """They are counted; what is under way already is said."""
    monkeypatch.setattr(backlog, limit, value)
    queue = Queue()
    waiting = running(queue)
    before = stats()["queue_messages_lost"]
    waiting.publish("channel", b"under way.")
    assert wait_until(lambda: waiting.is_cut_off, 5)
    wanted = [b"%010d" % number for number in range(30)]
    for payload in wanted:
        waiting.publish("channel", payload)
    assert stats()["queue_messages_lost"] == before + 20
    queue.reached.set()
    assert wait_until(lambda: queue.said == [b"under way.", *wanted[20:]], 5), queue.said


def test_one_that_is_refused_is_dropped_and_the_others_are_said() -> None:
    """The queue answers, but does not take it."""
    queue = Queue()
    queue.reached.set()
    before = stats()["queue_messages_lost"]
    waiting = backlog.Backlog(lambda: queue, lambda _seconds: None)
    for payload in (b"1", b"refused", b"2"):
        waiting.publish("channel", payload)
    threading.Thread(target=waiting.run, daemon=True).start()
    assert wait_until(lambda: queue.said == [b"1", b"2"], 5), queue.said
    assert stats()["queue_messages_lost"] == before + 1
