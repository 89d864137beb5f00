"""Native emits of a real Flask-SocketIO service, with real clients: their order, while clients come and go."""

from __future__ import annotations

import json
import socket

import pytest
from emit_app import STACKS, Service, native_only, said, services

pytest.importorskip("socketio")

SERVICES = services(STACKS)


def test_clients_of_all_kinds_in_one_room(service: Service) -> None:
    """Polling, WebSocket, and upgrades in the middle of the stream: each message exactly once, in order."""
    options = {"auth": {"room": "mixed"}}
    early = [service.client("polling", **options), service.client(**options)]
    total = 400
    code = """
def stream():
    for number in range(total):
        socketio.emit('news', number, to='mixed')
        socketio.sleep(0.002)
kept['stream'] = socketio.start_background_task(stream)
"""
    service.run(code, total=total)
    late = [service.client("polling", "websocket", **options) for _ in range(6)]
    service.run("kept['stream'].join(); socketio.emit('end')")
    assert service.everybody_has(early + late, "end", 1)
    for client in early:
        assert client.values("news") == list(range(total))
    for client in late:
        heard = client.values("news")
        assert heard == list(range(heard[0], total)) if heard else True
        assert client.socket.transport() == "websocket"
    assert any(client.values("news") for client in late)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_order_of_everything_that_one_client_is_sent(service: Service, transport: str) -> None:
    """Emits to it, broadcasts, ``send``, acknowledgements and calls, as its handler made them."""
    client, other = service.client(transport), service.client()
    answers = []
    client.socket.on("question", lambda number: (client.heard.append(("news", number)), number)[1])
    code = """
for number in range(start, start + 20, 4):
    flask_socketio.emit('news', number)
    socketio.emit('news', number + 1)
    assert flask_socketio.call('question', number + 2, timeout=10) == number + 2
    flask_socketio.send(number + 3)
result = start
"""
    client.socket.on("message", lambda number: client.heard.append(("news", number)))
    for start in range(0, 200, 20):
        answers.append(client.call("run", f"start = {start}\n{code}"))
        assert len(client.values("news")) == start + 20, (
            "the acknowledgement came before what was sent before it"
        )
    assert client.values("news") == list(range(200))
    assert answers == list(range(0, 200, 20))
    assert other.values("news") == [number for number in range(200) if number % 4 == 1]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_emits_of_several_threads_keep_their_order(service: Service, transport: str) -> None:
    """Four threads, to everybody, to a room and to one client, text and binary: each thread's are in order."""
    native_only(service, "separates attachments")
    client, other = service.client(transport, auth={"room": "red"}), service.client()
    code = """
def emits(thread):
    for number in range(100):
        data = {'from': thread, 'number': number}
        if number % 5 == 4:
            data['more'] = [b'1', b'2' * 300]
        socketio.emit('news', data, to=[None, 'red', sid, ['red', sid]][(number + thread) % 4])
in_threads(4, emits)
"""
    service.run(code, sid=client.sid)
    service.run("socketio.emit('end')")
    assert service.everybody_has([client, other], "end", 1)
    heard = client.values("news")
    assert len(heard) == 400
    for thread in range(4):
        own = [data for data in heard if data["from"] == thread]
        assert [data["number"] for data in own] == list(range(100))
        assert all(data.get("more", [b"1", b"2" * 300]) == [b"1", b"2" * 300] for data in own)
    assert len(other.values("news")) == 100


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_binary_acknowledgements_and_emits_are_not_torn(service: Service, transport: str) -> None:
    """A handler returns bytes while threads broadcast text and bytes."""
    native_only(service, "separates attachments")
    client = service.client(transport)
    code = """
def stream():
    while not kept.get('over'):
        socketio.emit('news', {'b': [b'1', b'2']})
        socketio.emit('news', 'text')
        socketio.sleep(0.0005)
kept['over'] = False
kept['streams'] = [socketio.start_background_task(stream) for _ in range(3)]
"""
    service.run(code)
    try:
        for number in range(60):
            head = str(number).encode()
            data = [head, head * 20_000, {"deep": b"y" * 40_000}]
            code = f"head = {head!r}; result = [head, head * 20_000, {{'deep': b'y' * 40_000}}]"
            assert client.call("run", code) == data
    finally:
        service.run("kept['over'] = True\nfor stream in kept['streams']: stream.join()")
    service.run("socketio.emit('end')")
    assert service.everybody_has([client], "end", 1)
    news = client.values("news")
    assert {json.dumps(one, default=repr, sort_keys=True) for one in news} == {
        '"text"', json.dumps({"b": ["b'1'", "b'2'"]}),
    }  # fmt: skip


def test_emits_that_meet_clients_who_leave_raise_nothing(service: Service) -> None:
    """Plain emits return None; the results of the others count."""
    native_only(service, "raises")
    clients = [service.client(), service.client("polling"), service.client()]
    sids = [client.sid for client in clients]
    assert service.run(
        "result = [socketio.emit('news', 1), socketio.emit('news', 1, to=sid)]", sid=sids[0]
    ) == [None, None]
    sent, queued, gone, dropped = service.run("result = safe_emit('news', 2)")
    assert (sent + queued, gone, dropped) == (3, 0, 0)
    sent, queued, gone, dropped = service.run("result = safe_emit('news', 2, to=sid)", sid=sids[0])
    assert (sent + queued, gone, dropped) == (1, 0, 0)
    assert service.run("result = safe_emit('news', 2, to=sid)", sid=sids[1]) == [0, 1, 0, 0]
    assert service.run("result = safe_emit('news', 2, to='nobody')") == [0, 0, 0, 0]
    assert service.run("result = safe_emit('news', 2, namespace='/unknown')") == [0, 0, 0, 0]
    assert sum(clients[0].call("run", "result = hangup.flask_socketio.emit('news', 3)")) == 1
    assert sum(clients[0].call("run", "result = hangup.flask_socketio.emit('news', 3, broadcast=True)")) == 3
    assert sum(clients[0].call("run", "result = safe_emit('news', 3, include_self=False)")) == 2
    with clients[2].socket.eio.ws.sock as left:
        left.shutdown(socket.SHUT_RDWR)
        code = "result = [socketio.emit('news', 4) for _ in range(100)] + [sum(safe_emit('news', 5))]"
        assert service.run(code)[:100] == [None] * 100


def test_membership_is_exact(service: Service) -> None:
    """Rooms are entered, left and closed while two threads broadcast to them; afterwards books and receivers agree."""
    clients = [service.client() for _ in range(4)] + [service.client("polling")]
    names = ["red", "green", "blue"]
    code = """
chosen = random.Random(7)
def change(thread):
    own = random.Random(thread)
    for number in range(300):
        room, sid = own.choice(names), own.choice(sids)
        if thread < 2:
            socketio.emit('noise', number, to=own.choice([room, names]))
        elif number % 50 == 49:
            server.close_room(room)
        elif own.random() < 0.6:
            server.enter_room(sid, room)
        else:
            server.leave_room(sid, room)
in_threads(4, change)
rooms = server.manager.rooms['/']
result = {room: sorted(rooms.get(room, {}).keys()) for room in names}
"""
    books = service.run(code, names=names, sids=[client.sid for client in clients])
    for room in names:
        heard = said(service, clients, "socketio.emit('news', 1, to=room)", room=room)
        assert sorted(client.sid for client, got in zip(clients, heard) if got) == books[room]
        assert all(got in ([], [1]) for got in heard)
