"""The books of a client manager: the same as stock's, whoever changes them, at a price that does not grow."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from hangup import _install, _sessions

socketio = pytest.importorskip("socketio")
hypothesis = pytest.importorskip("hypothesis")
strategies = hypothesis.strategies

SIDS = strategies.sampled_from(["a", "b", "c"])
NAMESPACES = strategies.sampled_from(["/", "/other"])
ROOMS = strategies.sampled_from(["room 1", "room 2", "a"])
CHANGES = strategies.one_of(
    strategies.tuples(strategies.just("join"), SIDS, NAMESPACES),
    strategies.tuples(strategies.just("enter_room"), SIDS, NAMESPACES, ROOMS),
    strategies.tuples(strategies.just("leave_room"), SIDS, NAMESPACES, ROOMS),
    strategies.tuples(strategies.just("close_room"), ROOMS, NAMESPACES),
    strategies.tuples(strategies.just("leave"), SIDS, NAMESPACES),
)


def manager(native: bool) -> Any:
    server = socketio.Server(async_mode="threading")
    if native:
        _install.take_over_socketio(server)
    return server.manager


def change(books: Any, name: str, *args: str) -> Any:
    """One step of a client, or the type of its exception."""
    try:
        if name == "join":
            sid, namespace = args
            books.basic_enter_room(sid, namespace, None, eio_sid=f"eio {sid}")
            books.basic_enter_room(sid, namespace, sid, eio_sid=f"eio {sid}")
        elif name == "leave":
            sid, namespace = args
            if not books.is_connected(sid, namespace):
                return None
            books.pre_disconnect(sid, namespace)
            books.disconnect(sid, namespace)
        else:
            getattr(books, name)(*args)
    except (KeyError, ValueError) as error:
        return type(error)
    return None


@hypothesis.given(changes=strategies.lists(CHANGES, max_size=30))
@hypothesis.settings(deadline=None, max_examples=100)
def test_the_books_are_those_of_stock(changes: list[tuple[str, ...]]) -> None:
    """After every change, errors included."""
    stock, ours = manager(False), manager(True)
    for one in changes:
        assert change(ours, *one) == change(stock, *one)
        assert ours.rooms == stock.rooms
        assert ours.pending_disconnect == stock.pending_disconnect


def test_clients_that_come_and_go_at_once_lose_nothing(running: Any) -> None:
    """Four threads, so that a namespace often loses its last client while it gets its next."""
    books = manager(True)

    def come_and_go(thread: int) -> int:
        for number in range(2_000):
            sid = books.pre_connect(f"{thread} {number}", "/")
            books.connect(sid, "/")
            assert books.is_connected(sid, "/")
            books.enter_room(sid, "/", "everybody")
            books.pre_disconnect(sid, "/")
            books.disconnect(sid, "/")
        return thread

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [running(come_and_go, number) for number in range(4)]
        assert [thread.outcome(60) for thread in threads] == [0, 1, 2, 3]
    finally:
        sys.setswitchinterval(before)
    assert (books.rooms, books.pending_disconnect, books.callbacks) == ({}, {}, {})


def test_a_leave_asks_only_the_rooms_of_its_client() -> None:
    """Stock asks each of 3,000, once for each of 3,000 clients."""
    books = manager(True)
    asked = 0

    class Room(type(socketio.base_manager.bidict())):  # type: ignore[misc]
        def __contains__(self, sid: object) -> bool:
            nonlocal asked
            asked += 1
            return bool(super().__contains__(sid))

    for number in range(3_000):
        books.basic_enter_room(f"{number}", "/", None, eio_sid=f"eio {number}")
        books.basic_enter_room(f"{number}", "/", f"{number}", eio_sid=f"eio {number}")
        books.rooms["/"][f"{number}"] = Room(books.rooms["/"][f"{number}"])
    for number in range(3_000):
        books.disconnect(f"{number}", "/")
    assert asked == 0
    assert books.rooms == {}


def test_a_manager_that_asks_for_more_of_its_subclasses_is_left_alone() -> None:
    class Registered(socketio.Manager):  # type: ignore[misc]
        def __init_subclass__(cls, name: str, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)

    server = socketio.Server(client_manager=Registered(), async_mode="threading")
    _install.take_over_socketio(server)
    assert type(server.manager) is Registered


def test_the_rooms_of_a_stock_manager_are_read_while_others_enter_and_leave() -> None:
    """As far as they are there; whoever asks for a snapshot gets one."""
    manager = socketio.Manager()
    manager.set_server(socketio.Server(async_mode="threading"))
    sid, over = manager.connect("session", "/"), threading.Event()

    def enters_and_leaves() -> None:
        while not over.is_set():
            for room in range(500):
                socketio.Manager.basic_enter_room(manager, sid, "/", room, "session")
            for room in range(1, 500):
                socketio.Manager.basic_leave_room(manager, sid, "/", room)

    visitor = threading.Thread(target=enters_and_leaves)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    visitor.start()
    try:
        for _ in range(3000):
            sids, rooms = _sessions._memberships(manager, "session")
            assert sids == (("/", sid),)
            assert {room for _, room in rooms} <= set(range(500))
    finally:
        over.set()
        visitor.join()
        sys.setswitchinterval(interval)
