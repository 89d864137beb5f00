"""safe_emit: a client that leaves is a number, and everybody else gets the message once."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hangup
import pytest
from hangup import EmitResult, _install, safe_emit

socketio = pytest.importorskip("socketio")
engineio_socket = pytest.importorskip("engineio.socket")

NOBODY = EmitResult(sent=0, queued=0, gone=0, dropped=0)


class Member:
    """A client as python-socketio sees it: a session id and an engine.io socket, whose queue is read here."""

    def __init__(self, server: Any, namespace: str = "/") -> None:
        self.eio_sid = server.eio.generate_id()
        self.socket = server.eio.sockets[self.eio_sid] = engineio_socket.Socket(server.eio, self.eio_sid)
        self.sid = server.manager.connect(self.eio_sid, namespace)
        self.namespace = namespace
        server.enter_room(self.sid, "room", namespace=namespace)

    def events(self) -> list[Any]:
        """The events waiting for it, as lists of name and arguments."""
        prefix = "2" if self.namespace == "/" else f"2{self.namespace},"
        data = [packet.data for packet in self.socket.queue.queue if packet]
        return [
            json.loads(text[len(prefix) :].lstrip("0123456789")) for text in data if text.startswith(prefix)
        ]


def new_server(**options: Any) -> Any:
    return socketio.Server(async_mode="threading", monitor_clients=False, **options)


def new_native_server(**options: Any) -> Any:
    server = new_server(**options)
    _install.take_over_socketio(server)
    return server


@pytest.fixture(params=[new_server, new_native_server], ids=["stock", "native"])
def make_server(request: pytest.FixtureRequest) -> Any:
    """Makes a python-socketio server, with a manager of its own or a native one."""
    return request.param


@pytest.fixture
def server(make_server: Any) -> Any:
    """A python-socketio server."""
    return make_server()


@pytest.fixture
def members(server: Any) -> list[Member]:
    """Five clients in the room "room"."""
    return [Member(server) for _ in range(5)]


def fail(member: Member, error: BaseException) -> None:
    """Makes the client's queue raise."""

    def put(_item: object) -> None:
        raise error

    member.socket.queue.put = put


def leaves_at_its_turn(member: Member) -> None:
    """Another thread closes the client between its look-up and the send to it."""
    check = member.socket.check_ping_timeout

    def check_ping_timeout() -> Any:
        member.socket.closed = True
        return check()

    member.socket.check_ping_timeout = check_ping_timeout


def test_everybody_in_the_namespace_gets_it_by_default(server: Any, members: list[Member]) -> None:
    """As with SocketIO.emit, no `to` means all."""
    elsewhere = Member(server, "/other")
    assert safe_emit("news", {"n": 1}, server=server) == EmitResult(0, 5, 0, 0)
    assert [member.events() for member in members] == [[["news", {"n": 1}]]] * 5
    assert elsewhere.events() == []
    assert safe_emit("news", namespace="/other", server=server).queued == 1
    assert elsewhere.events() == [["news"]]


@pytest.mark.parametrize(
    ("args", "arrives"),
    [((), []), ((1,), [1]), ((1, "b"), [1, "b"]), (((1, 2),), [1, 2]), (([1],), [[1]])],
    ids=str,
)
def test_positional_arguments_arrive_as_arguments(
    server: Any, args: tuple[Any, ...], arrives: list[Any]
) -> None:
    """None, one or several; a single tuple stands for its items, as in python-socketio."""
    member = Member(server)
    safe_emit("news", *args, server=server)
    assert member.events() == [["news", *arrives]]


def test_rooms_and_skip_lists_are_honoured(server: Any, members: list[Member]) -> None:
    """`to` takes a sid, a room or several; `room` is its other name; `skip_sid` takes one or several."""
    first, second, third, *_ = members
    server.enter_room(first.sid, "duo")
    server.enter_room(second.sid, "duo")
    assert safe_emit("a", to=first.sid, server=server).queued == 1
    assert safe_emit("b", room="duo", server=server).queued == 2
    assert safe_emit("c", to=["duo", third.sid], server=server).queued == 3
    assert safe_emit("d", to=("duo", third.sid), skip_sid=third.sid, server=server).queued == 2
    assert safe_emit("e", to={"duo"}, skip_sid=[first.sid, third.sid], server=server).queued == 1
    assert safe_emit("f", to="nowhere", server=server) == NOBODY
    assert [event for (event,) in first.events()] == ["a", "b", "c", "d"]
    assert [event for (event,) in second.events()] == ["b", "c", "d", "e"]
    assert [event for (event,) in third.events()] == ["c"]


@pytest.mark.parametrize("nobody", ["", [], (), set()], ids=repr)
def test_an_empty_address_is_nobody_not_everybody(server: Any, members: list[Member], nobody: Any) -> None:
    """A list of rooms that happens to be empty must not become a broadcast."""
    assert safe_emit("secret", to=nobody, server=server) == NOBODY
    assert safe_emit("secret", room=nobody, server=server) == NOBODY
    assert not any(member.events() for member in members)


@pytest.mark.parametrize("position", range(5))
def test_a_client_that_leaves_at_its_turn_costs_the_others_nothing(
    server: Any, members: list[Member], position: int
) -> None:
    """Wherever it stands in the broadcast, the rest gets the message, and gets it once."""
    leaves_at_its_turn(members[position])
    assert safe_emit("news", server=server) == EmitResult(0, 4, 1, 0)
    assert [len(member.events()) for member in members] == [i != position for i in range(5)]


def test_any_number_of_clients_can_leave_in_one_broadcast(server: Any, members: list[Member]) -> None:
    """Also all of them."""
    for member in members:
        leaves_at_its_turn(member)
    assert safe_emit("news", server=server) == EmitResult(0, 0, 5, 0)
    assert safe_emit("news", server=server) == EmitResult(0, 0, 5, 0)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (KeyError("Session is disconnected"), EmitResult(0, 4, 1, 0)),
        (BrokenPipeError(errno.EPIPE, "x"), EmitResult(0, 4, 1, 0)),
        (OSError(errno.EBADF, "x"), EmitResult(0, 4, 1, 0)),
        (queue.Empty(), EmitResult(0, 4, 1, 0)),
        (queue.Full(), EmitResult(0, 4, 0, 1)),
    ],
    ids=repr,
)
def test_an_error_of_one_clients_transport_stays_with_that_client(
    server: Any, members: list[Member], error: BaseException, result: EmitResult
) -> None:
    """It is counted; a queue that is full is not a client that left."""
    fail(members[2], error)
    assert safe_emit("news", server=server) == result
    assert [len(member.events()) for member in members if member is not members[2]] == [1] * 4


def test_a_client_whose_ping_is_overdue_is_gone(server: Any, members: list[Member]) -> None:
    """Sending is where python-socketio finds that out, and it calls the disconnect handlers there."""
    left: list[str] = []
    server.on("disconnect", lambda sid, *_reason: left.append(sid))
    server.environ.update({member.eio_sid: {} for member in members})
    members[1].socket.last_ping = time.time() - 3600
    assert safe_emit("news", server=server) == EmitResult(0, 4, 1, 0)
    assert left == [members[1].sid]


def test_a_dead_session_in_a_room_is_gone(
    server: Any, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    """Closed or forgotten by engine.io, still in the room: counted, and no warning about it."""
    members[0].socket.closed = True
    del server.eio.sockets[members[3].eio_sid]
    with caplog.at_level("WARNING", logger="engineio.server"):
        assert safe_emit("news", to="room", server=server) == EmitResult(0, 3, 2, 0)
        assert safe_emit("news", to=members[0].sid, server=server) == EmitResult(0, 0, 1, 0)
    assert "Cannot send" not in caplog.text


@pytest.mark.parametrize(("look_up", "gone"), [(0, 0), (1, 5)], ids=["before", "during"])
def test_a_room_that_empties_at_the_wrong_moment_is_not_an_error(look_up: int, gone: int) -> None:
    """python-socketio looks a room up twice each time; its last client may leave in between."""
    server = new_server()
    for _ in range(5):
        Member(server)

    class Emptying(dict[Any, Any]):
        look_ups = 0
        always = False

        def __contains__(self, room: object) -> bool:
            if room != "room":
                return super().__contains__(room)
            self.look_ups += 1
            there = super().__contains__(room)
            if self.always or self.look_ups == look_up + 1:
                self.pop(room, None)
            return there or self.always

    rooms = server.manager.rooms["/"] = Emptying(server.manager.rooms["/"])
    assert safe_emit("news", to="room", server=server) == EmitResult(0, 0, gone, 0)
    assert "room" not in list(rooms)
    rooms.always = True
    with pytest.raises(KeyError, match="room"):
        safe_emit("news", to="room", server=server)


class BadJson:
    """A JSON module whose dumps() reads from a database that is gone."""

    error: BaseException = KeyError("row")

    @classmethod
    def dumps(cls, *_args: Any, **_options: Any) -> str:
        raise cls.error

    loads = staticmethod(json.loads)


@pytest.mark.parametrize("callback", [None, print], ids=["plain", "callback"])
@pytest.mark.parametrize("error", [KeyError("row"), OSError(errno.ECONNRESET, "db"), queue.Empty()], ids=repr)
def test_a_payload_that_cannot_be_serialised_raises_before_anybody_got_it(
    server: Any, members: list[Member], error: BaseException, callback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a defect of the caller, also when it looks like a client's error."""
    with pytest.raises(TypeError, match="serializable"):
        safe_emit("news", object(), callback=callback, server=server)
    monkeypatch.setattr(BadJson, "error", error)
    monkeypatch.setattr(server.packet_class, "json", BadJson)
    with pytest.raises(type(error)) as raised:
        safe_emit("news", "fine", callback=callback, server=server)
    assert raised.value is error
    monkeypatch.undo()
    assert not any(member.events() for member in members)


# ---- message queues


class Queue(socketio.PubSubManager):  # type: ignore[misc]
    """A message queue without a broker."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Any] = []
        self.down = False

    def initialize(self) -> None:
        """Listens to nobody."""

    def _publish(self, data: Any) -> None:
        if self.down:
            raise OSError(errno.ECONNREFUSED, "no broker")
        self.published.append(data)


@pytest.mark.parametrize("leaving", [0, 1, 3])
def test_a_message_queue_gets_the_message_once_whoever_leaves(make_server: Any, leaving: int) -> None:
    """The other processes must not miss it because a client of this one left, nor get it twice."""
    server = make_server(client_manager=Queue())
    members = [Member(server) for _ in range(5)]
    for member in members[:leaving]:
        leaves_at_its_turn(member)
    result = safe_emit("news", 1, skip_sid=members[4].sid, server=server)
    assert result == EmitResult(0, 4 - leaving, leaving, 0)
    (message,) = server.manager.published
    assert message["event"] == "news"
    assert type(pickle.loads(pickle.dumps(message))["skip_sid"]) is list
    assert json.loads(json.dumps(message))["skip_sid"] == [members[4].sid]
    assert [len(member.events()) for member in members] == [0] * leaving + [1] * (4 - leaving) + [0]


def test_a_message_queue_that_is_down_is_the_callers_to_know(make_server: Any) -> None:
    """It is not a client; the local clients have got the message, once."""
    server = make_server(client_manager=Queue())
    members = [Member(server) for _ in range(3)]
    server.manager.down = True
    with pytest.raises(OSError, match="no broker"):
        safe_emit("news", server=server)
    assert [len(member.events()) for member in members] == [1, 1, 1]


def test_a_manager_that_does_not_ask_about_clients_counts_the_rest_as_dropped() -> None:
    """It cannot be taken up again behind the client that left, and nothing is raised either."""

    class Copying(socketio.Manager):  # type: ignore[misc]
        def emit(self, *args: Any, skip_sid: Any = None, **options: Any) -> Any:
            return super().emit(*args, skip_sid=list(skip_sid), **options)

    server = new_server(client_manager=Copying())
    members = [Member(server) for _ in range(4)]
    assert safe_emit("news", server=server).queued == 4
    leaves_at_its_turn(members[1])
    assert safe_emit("news", server=server) == EmitResult(0, 0, 1, 3)


# ---- asyncio


def test_an_async_server_gives_an_awaitable_result() -> None:
    """One client is gone already, one leaves before its task runs; the third gets the message."""

    async def scenario() -> tuple[EmitResult, EmitResult, list[int]]:
        server = socketio.AsyncServer(async_mode="asgi", monitor_clients=False)
        sockets, sids = [], []
        for _ in range(3):
            eio_sid = server.eio.generate_id()
            socket = server.eio.sockets[eio_sid] = pytest.importorskip("engineio.async_socket").AsyncSocket(
                server.eio, eio_sid
            )
            sids.append(await server.manager.connect(eio_sid, "/"))
            sockets.append(socket)
        sockets[0].closed = True
        sockets[1].last_ping = time.time() - 3600
        result = await safe_emit("news", server=server)
        nobody = await safe_emit("news", to=[], server=server)
        with pytest.raises(TypeError, match="serializable"):
            await safe_emit("news", object(), server=server)
        return result, nobody, [socket.queue.qsize() for socket in sockets]

    result, nobody, waiting = asyncio.run(scenario())
    assert result == EmitResult(0, 1, 2, 0)
    assert nobody == NOBODY
    assert (waiting[0], waiting[2]) == (0, 1)


def test_importing_it_imports_no_framework() -> None:
    """It costs nothing to an application that uses neither."""
    names = "{'flask', 'flask_socketio', 'socketio', 'engineio'}"
    code = f"import sys, hangup.emit; sys.exit(bool({names} & set(sys.modules)))"
    home = str(Path(hangup.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, timeout=30, check=False
    )
    assert run.returncode == 0


@pytest.fixture
def native_server() -> Any:
    """A server whose emits are native, and that logs to what is no ``logging.Logger``."""

    class Logger:
        def info(self, *args: Any) -> None: ...

        debug = warning = error = exception = info

    return new_native_server(logger=Logger(), engineio_logger=Logger())


def test_whom_to_skip_may_be_named_in_a_way_that_names_nobody(native_server: Any) -> None:
    """As stock has it: only a list names several."""
    member = Member(native_server)
    native_server.emit("news", 1, skip_sid={member.sid})
    native_server.emit("news", 2, skip_sid=[[member.sid], member.sid])
    assert member.events() == [["news", 1]]


def test_what_is_emitted_on_the_way_is_another_emit(native_server: Any) -> None:
    """As python-socketio's admin interface does for each client."""
    member, admin = Member(native_server), Member(native_server, "/admin")
    stock = native_server.manager.emit

    def emit(event: str, data: Any, namespace: str, **options: Any) -> None:
        stock(event, data, namespace, **options)
        if namespace != "/admin":
            native_server.emit("sent", event, namespace="/admin")

    native_server.manager.emit = emit
    assert safe_emit("news", 1, server=native_server) == EmitResult(queued=1)
    native_server.emit("news", 2, policy="drop_newest")
    assert member.events() == [["news", 1], ["news", 2]]
    assert admin.events() == [["sent", "news"], ["sent", "news"]]
