"""The manager that workers with siblings have: alone, it is the one for one process."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hangup import _siblings, install, uninstall
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
    assert another.manager._kind != server.manager._kind
