"""The manager that workers with siblings have: alone, it is the one for one process."""

from __future__ import annotations

import pickle
import secrets
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hangup import _siblings, install, stats, uninstall
from hangup._siblings.belongings import Books, bring_in
from hangup._siblings.bus import sibling_manager

socketio = pytest.importorskip("socketio")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a worker that has no siblings."""
    monkeypatch.setattr(_siblings, "_secret", secrets.token_bytes(16))
    install()
    try:
        yield socketio.Server(async_mode="threading")
    finally:
        uninstall()


def test_a_server_without_a_message_queue_has_siblings(server: Any) -> None:
    """Whoever names a manager of a message queue keeps it."""
    assert isinstance(server.manager, sibling_manager())
    queued = socketio.Server(
        async_mode="threading", client_manager=socketio.PubSubManager("a channel", write_only=True)
    )
    assert not isinstance(queued.manager, sibling_manager())
    assert queued.manager.channel == "a channel"


def test_a_native_manager_that_was_named_has_siblings_too(server: Any) -> None:
    """With what it was given."""
    from hangup.flask_socketio import NativeManager

    named = socketio.Server(async_mode="threading", client_manager=NativeManager(policy="drop_oldest"))
    assert isinstance(named.manager, sibling_manager())
    assert named.manager.slow_clients.policy == "drop_oldest"


def test_alone_it_refuses_clients_that_it_does_not_know(server: Any) -> None:
    """As the manager for one process does; with siblings they could be somebody's."""
    stock = socketio.Manager()
    for manager in (server.manager, stock):
        with pytest.raises(ValueError, match="sid is not connected"):
            manager.enter_room("nobody", "/", "room")
        assert not manager.can_disconnect("nobody", "/")
    server.leave_room("nobody", "room")
    server.disconnect("nobody")


def test_each_server_has_a_channel_of_its_own(server: Any) -> None:
    """They do not hear each other."""
    another = socketio.Server(async_mode="threading")
    assert another.manager.kind != server.manager.kind


def test_what_a_sibling_is_not_told_is_counted(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at that process, though it is said to serve."""
    gone = 4_200_000  # more than a pid can be (proc(5), pid_max)
    monkeypatch.setattr(_siblings._hangup, "listening", lambda: [gone])
    before = stats()["sibling_messages_lost"]
    server.emit("news", 1)
    server.close_room("room")
    assert stats()["sibling_messages_lost"] == before + 2


def test_what_cannot_be_told_is_raised_before_anybody_gets_it(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an event that cannot be encoded is."""
    monkeypatch.setattr(_siblings._hangup, "listening", lambda: [4_200_000])
    sent: list[Any] = []
    server.manager.connect("a client", "/")
    monkeypatch.setattr(server, "_send_packet", lambda *packet: sent.append(packet))
    with pytest.raises((TypeError, AttributeError)):
        server.emit("news", (number for number in range(3)))
    assert not sent


def test_a_mark_of_a_cut_that_is_over_is_not_answered(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All would answer the answer, for ever."""
    monkeypatch.setattr(_siblings._hangup, "listening", lambda: [4_200_000, 4_200_001])
    moves, said = server.manager.moves, []
    monkeypatch.setattr(server.manager, "tell", lambda _pids, message: said.append(pickle.loads(message)[1]))
    gone, there = (4_100_000, 7), (4_200_000, 7)
    moves.told("mark", -1, gone, (4_200_001, 1), True)
    assert (said, server.manager.order.cuts) == ([], {})
    moves.told("mark", -1, there, (4_200_001, 1), True)
    moves.told("mark", -1, there, (4_200_000, 1), True)
    assert said == ["mark", "ready"]
    moves.told("over", -1, there)
    moves.told("mark", -1, there, (4_200_001, 1), True)
    assert (said, server.manager.order.cuts) == (["mark", "ready"], {})


HEARING = """
import os, secrets, threading
import socketio
from hangup import _siblings, install
_siblings._secret = secrets.token_bytes(16)
install()
from hangup._siblings.bus import pack
manager = socketio.Server(async_mode="threading").manager
heard = threading.Event()
manager.initialize()
number = manager._generate_ack_id("a client", heard.set)
unknown = b"cnobody\\nhas_this\\n."  # as of a version of the application that has other classes
for message in (unknown, pack(None, "nonsense"), pack(None, "answer", "a client", number, ())):
    assert _siblings.send(os.getpid(), manager.kind, message)
assert heard.wait(10)
"""


def test_nothing_that_is_heard_ends_the_hearing() -> None:
    """In a process of its own: its hearing goes on for as long."""
    done = subprocess.run([sys.executable, "-c", HEARING], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("what another worker said failed here") == 2


def test_a_client_comes_in_although_a_room_of_its_own_is_refused_here(server: Any) -> None:
    """It was in another client's own room, which was in another process."""
    manager = server.manager
    other = manager.connect("an eio_sid", "/")
    session = SimpleNamespace(sid="another", queue=None)
    books = Books({"/": ("a sid", [other, "a room"])}, {}, [])
    bring_in(server, session, {}, None, books)
    assert manager.is_connected("a sid", "/")
    assert "a room" in manager.get_rooms("a sid", "/")


def test_what_is_for_a_client_that_has_moved_follows_it(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what waited for room when it went."""
    told: list[Any] = []
    monkeypatch.setattr(
        server.manager, "tell", lambda pids, message: told.append((pids, pickle.loads(message)))
    )
    server.manager.moves._gone["an eio_sid"] = 4_200_000
    packet = server.packet_class(2, data=["news", 1], namespace="/")
    server._send_packet("an eio_sid", packet)
    assert told == [([4_200_000], (None, "packets", "an eio_sid", ['2["news",1]']))]
