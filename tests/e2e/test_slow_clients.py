"""Clients that do not keep up with native emits, or leave in the middle: what they, the others and emitters see."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emit_app import GEVENT, GTHREAD, STOCK, Client, Service, ids, serve, services
from hangup._demo.server import wait_until
from hangup.testing import reset
from raw_websocket import begin_session, frame

#: Bytes that may wait for a client.
BUDGET = 300_000
DATA = "d" * 50_000
STACKS = [GTHREAD, GEVENT]
SERVICES = services(
    STACKS, MANAGER=json.dumps(["NativeManager", {"policy": "drop_oldest", "budget": BUDGET}])
)
EVERY_STACK = pytest.mark.parametrize("stack", STACKS, ids=ids)


class Stalled:
    """A session that reads nothing until it is asked to."""

    def __init__(self, service: Service, receive_buffer: int = 4096) -> None:
        self.socket = begin_session(service.server.port, receive_buffer)
        room = f"own {self.socket.getsockname()[1]}"
        self.socket.sendall(frame(f'42["join",{json.dumps(room)}]'.encode()))
        code = f"result = list(server.manager.rooms['/'].get({room!r}, {{}}))"
        assert wait_until(lambda: bool(service.run(code)), 10)
        (self.sid,) = service.run(code)

    def __enter__(self) -> Stalled:
        return self

    def __exit__(self, *_: object) -> None:
        reset(self.socket)

    def messages(self, until: str = "end") -> Iterator[list[Any]]:
        """Reads events up to the one of that name; the code of a close frame is an event, too."""
        with self.socket.makefile("rb") as stream:
            while True:
                first, length = stream.read(2)
                if length > 125:
                    length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
                payload = stream.read(length)
                if first == 0x88:
                    yield ["close", int.from_bytes(payload[:2], "big")]
                    return
                if payload[:2] == b"42":
                    event = json.loads(payload[2:])
                    yield event
                    if event[0] == until:
                        return


def numbers(stalled: Stalled) -> list[int]:
    """Of the ``news`` it gets."""
    return [event[1]["number"] for event in stalled.messages() if event[0] == "news"]


#: The other clients are as fast as the emitter.
WAIT = """
def wait_for(sids):
    while any(server.manager.backlog(sid).queued for sid in sids):
        socketio.sleep(0.0005)
"""
STREAM = (
    WAIT
    + """
for number in range(count):
    result = safe_emit('news', {'number': number, 'data': data}, **options)
    kept.setdefault('fates', []).append(result)
    wait_for(fast)
fates = kept.pop('fates')
result = [sum(fate) for fate in zip(*fates)]
"""
)


def stream(
    service: Service, fast: list[Client], count: int = 200, data: str = DATA, **options: Any
) -> list[int]:
    """The sums of what became of so many messages to everybody."""
    fates: list[int] = service.run(
        STREAM, count=count, data=data, options=options, fast=[client.sid for client in fast]
    )
    return fates


def end(service: Service) -> None:
    service.run("socketio.emit('end', policy='drop_oldest')")


@pytest.mark.parametrize("policy", [None, "drop_newest"])
def test_messages_to_a_slow_client_are_dropped_and_counted(service: Service, policy: str | None) -> None:
    """The oldest by the manager's policy, or the newest by the emit's; the others get all."""
    fast = service.client()
    with Stalled(service) as stalled:
        before = service.server.ask()["messages_dropped"]
        sent, queued, gone, dropped = stream(service, [fast], policy=policy)
        assert (sent + queued + dropped, gone) == (400, 0)
        assert (dropped > 0) == (policy == "drop_newest")
        waiting, lost, coalesced = service.run("result = server.manager.backlog(sid)", sid=stalled.sid)
        assert 0 < waiting <= BUDGET
        assert (lost > 0, coalesced) == (True, 0)
        assert service.server.ask()["messages_dropped"] - before == lost
        assert policy is None or dropped == lost
        threading.Thread(target=end, args=(service,)).start()
        got = numbers(stalled)
        assert got == sorted(set(got))
        assert len(got) + lost == 200
        assert (got[-1] == 199) == (policy is None)
        assert service.run("result = server.manager.backlog(sid)", sid=fast.sid) == [0, 0, 0]
    assert service.everybody_has([fast], "end", 1)
    assert [news["number"] for news in fast.values("news")] == list(range(200))


def test_a_slow_client_is_closed(service: Service) -> None:
    """With 1013, by the policy of the emit, in each of the ways to say so."""
    fast = service.client()
    ways = ["safe_emit", "socketio.emit", "hangup.flask_socketio.emit"]
    for way in ways:
        options = ", broadcast=True" if way.startswith("hangup") else ""
        with Stalled(service) as stalled:
            code = f"""{WAIT}
before, number = hangup.stats()['queue_overflows'], 0
while hangup.stats()['queue_overflows'] == before:
    {way}('news', {{'number': number, 'data': 'd' * 50_000}}, policy='close'{options})
    wait_for([{fast.sid!r}])
    number += 1
result = number
"""
            count = fast.call("run", code)
            *got, last = stalled.messages()
            assert last == ["close", 1013]
            assert [event[1]["number"] for event in got] == list(range(len(got)))
            assert service.everybody_has([fast], "news", count)
            assert [news["number"] for news in fast.values("news")] == list(range(count))
            assert wait_until(lambda: service.server.ask()["sockets"] == 1, 10)
            fast.heard.clear()
    refused = "try:\n    {}\nexcept ValueError as error:\n    result = str(error)"
    for way in ways:
        assert "policy must be" in fast.call("run", refused.format(f"{way}('news', policy='perhaps')"))


@pytest.mark.parametrize("way", ["safe_emit", "socketio.emit", "hangup.flask_socketio.emit"])
def test_only_the_newest_of_a_key_waits(service: Service, way: str) -> None:
    """The slow client sees the last value of each key, the fast one all."""
    fast = service.client()
    options = ", broadcast=True" if way.startswith("hangup") else ""
    with Stalled(service) as stalled:
        code = """
while not server.manager.backlog(sid).queued:
    socketio.emit('fill', 'f' * 50_000, to=sid)
"""
        service.run(code, sid=stalled.sid)
        code = f"""{WAIT}
for number in range(600):
    {way}('news', {{'number': number}}, coalesce=f'key {{number % 3}}'{options})
    wait_for([{fast.sid!r}])
"""
        fast.call("run", code)
        _, lost, coalesced = service.run("result = server.manager.backlog(sid)", sid=stalled.sid)
        end(service)
        got = numbers(stalled)
        assert got[-3:] == [597, 598, 599]
        assert (len(got) + coalesced, lost) == (600, 0)
        assert len(got) < 100
    assert service.everybody_has([fast], "end", 1)
    assert [news["number"] for news in fast.values("news")] == list(range(600))


def test_nobody_waits_for_a_slow_client(service: Service) -> None:
    """Others get 500 broadcasts while one stalls."""
    fast = [service.client(), service.client(), service.client("polling")]
    with Stalled(service):
        sent, queued, gone, dropped = stream(service, fast, count=500, data="d" * 5_000)
        assert sent + queued + dropped == 4 * 500
        assert gone == 0
        end(service)
        assert service.everybody_has(fast, "end", 1)
        for client in fast:
            assert [news["number"] for news in client.values("news")] == list(range(500))


def test_block_waits_for_room_and_drops_nothing(service: Service) -> None:
    """Four threads that fill the queue of a client that reads as fast as it can: it gets everything."""
    with Stalled(service, receive_buffer=65_536) as reader:
        got: list[list[int]] = []

        def read() -> None:
            for event in reader.messages():
                got.append(event[1][:2] if event[0] == "news" else ["end"])
                if len(got) % 20 == 0:
                    time.sleep(0.005)  # the queue fills and empties

        reading = threading.Thread(target=read)
        reading.start()
        code = """
def emits(thread):
    for number in range(150):
        socketio.emit('news', [thread, number, 'd' * (1 + number % 7) * 20_000], to=sid, policy='block')
in_threads(4, emits)
socketio.emit('end', to=sid)
result = server.manager.backlog(sid)
"""
        assert service.run(code, sid=reader.sid)[1] == 0
        reading.join(20)
        assert got[-1] == ["end"]
        for thread in range(4):
            assert [number for own, number in got[:-1] if own == thread] == list(range(150))


@EVERY_STACK
def test_block_ends_with_the_client(tmp_path: Path, stack: Any) -> None:
    """Until the client is left the emitter waits, and nobody else; then it goes on."""
    manager = json.dumps(["NativeManager", {"policy": "block", "budget": BUDGET}])
    # The pong of the other client comes after 10 MB that it reads first.
    options = json.dumps({"ping_interval": 1, "ping_timeout": 5})
    with serve(tmp_path, stack, MANAGER=manager, OPTIONS=options) as service:
        fast = service.client()
        with Stalled(service):
            code = """
kept['at'] = -1
def blocked():
    for number in range(200):
        kept['at'] = number
        socketio.emit('news', {'number': number, 'data': 'd' * 50_000})
kept['blocked'] = socketio.start_background_task(blocked)
"""
            service.run(code)
            seen = [-2]

            def is_waiting() -> bool:
                seen.append(service.run("socketio.sleep(0.2); result = kept['at']"))
                return seen[-1] == seen[-2] > 0

            assert wait_until(is_waiting, 10)
            code = "for number in range(50): socketio.emit('tick', number, to=sid)"
            service.run(code, sid=fast.sid)
            assert service.everybody_has([fast], "tick", 50, 2)
            assert seen[-1] < 199
            service.run("kept['blocked'].join()")
            assert service.everybody_has([fast], "news", 200)
            assert [news["number"] for news in fast.values("news")] == list(range(200))
            assert service.server.ask()["sockets"] == 1
        assert "Traceback" not in service.server.log


@pytest.mark.parametrize("manager", ["Manager", "NativeManager"])
def test_policies_do_no_harm_to_stock(tmp_path: Path, manager: str) -> None:
    """With HANGUP=off the same calls are python-socketio's; its own emit takes them if the manager was asked for."""
    asked_for = {"MANAGER": json.dumps([manager, {"policy": "close"}])} if manager == "NativeManager" else {}
    with serve(tmp_path, STOCK, **asked_for) as service:
        client = service.client()
        ways = ["safe_emit", "hangup.flask_socketio.emit", *(["socketio.emit"] if asked_for else [])]
        for way in ways:
            result = client.call("run", f"result = {way}('news', 1, policy='drop_oldest', coalesce='key')")
            assert result in (None, (0, 1, 0, 0))
        assert wait_until(lambda: client.values("news") == [1] * len(ways), 10)
        assert service.run("result = type(server.manager).__name__") == manager
        assert "Traceback" not in service.server.log


def leaving(service: Service, rounds: int) -> None:
    """So many clients that leave while a stream of broadcasts goes out; who stays misses nothing."""
    steady = [service.client(), service.client("polling"), service.client()]
    code = """
kept['over'] = False
def stream():
    number = 0
    while not kept['over']:
        socketio.emit('news', number)
        number += 1
        socketio.sleep(0.0005)
    socketio.emit('end', number)
kept['stream'] = socketio.start_background_task(stream)
"""
    service.run(code)
    for _ in range(rounds):
        client: socket.socket = begin_session(service.server.port)
        received = b""
        while b'["news"' not in received:
            received = received[-10:] + client.recv(4096)
        reset(client)
    service.run("kept['over'] = True; kept['stream'].join()")
    assert service.everybody_has(steady, "end", 1)
    for client_ in steady:
        (total,) = client_.values("end")
        assert total >= rounds
        assert client_.values("news") == list(range(total))


def test_clients_that_leave_in_the_middle_of_broadcasts(service: Service) -> None:
    """Each other client gets every message exactly once, in order; and books and descriptors are as before."""
    leaving(service, 3)
    service.empty()
    before = service.server.ask()["fds"]
    leaving(service, 200)
    service.empty()
    books = (
        "manager = server.manager\nresult = [len(manager._rooms), len(manager._rooms_of), len(manager.rooms)]"
    )
    assert wait_until(lambda: service.run(books)[:2] == [0, 0], 10), service.run(books)
    assert wait_until(lambda: service.server.ask()["fds"] <= before, 10)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_clients_that_leave(service: Service) -> None:
    """The same, ten thousand times."""
    leaving(service, 10_000)


def rooms_come_and_go(service: Service, clients: int) -> None:
    for number in range(clients):
        client = begin_session(service.server.port)
        client.sendall(frame(f'42["join","room {number % 50}"]'.encode()) + frame(b'42["join","all"]'))
        if number % 10 == 0:
            service.run("socketio.emit('news', 1, to=['all', room])", room=f"room {number % 50}")
        if number % 3 == 0:
            client.sendall(frame(b'42["leave","all"]'))
        reset(client)
    books = "manager = server.manager\nresult = [len(manager._rooms), len(manager._rooms_of)]"
    assert wait_until(lambda: service.run(books) == [0, 0], 10), service.run(books)


def test_rooms_leave_nothing(service: Service) -> None:
    """Clients enter rooms, some leave them, all leave: no room is kept."""
    rooms_come_and_go(service, 200)


@pytest.mark.slow
def test_two_thousand_clients_leave_nothing(service: Service) -> None:
    """The same, and no descriptors."""
    rooms_come_and_go(service, 20)
    before = service.server.ask()["fds"]
    rooms_come_and_go(service, 2_000)
    assert wait_until(lambda: service.server.ask()["fds"] <= before, 10)
