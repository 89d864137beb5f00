"""The manager that workers with siblings have: alone, it is the one for one process."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hangup import _siblings, install, stats, uninstall
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
