"""Native emits of a real Flask-SocketIO service, with real clients: who gets what, in which order, whole."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emit_app import GEVENT, GTHREAD, OLD_GEVENT, STACKS, STOCK, Client, Service, Stack, ids, serve
from hangup._demo.server import wait_until

pytest.importorskip("socketio")


def is_slow(stack: Any) -> bool:
    return stack in (STOCK, OLD_GEVENT)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(stack, id=ids(stack), marks=[pytest.mark.slow] * is_slow(stack)) for stack in STACKS
    ],
)
def service_of_the_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One server for all the tests of a stack; what is asserted is asserted of stock, too."""
    with serve(tmp_path_factory.mktemp("service"), request.param) as service:
        yield service
        assert "Traceback" not in service.server.log


@pytest.fixture
def service(service_of_the_stack: Service) -> Iterator[Service]:
    yield service_of_the_stack
    service_of_the_stack.empty()


def native_only(service: Service, what_stock_does: str) -> None:
    if not service.is_native:
        pytest.skip(f"stock {what_stock_does}")


def said(service: Service, clients: list[Client], code: str, **values: Any) -> list[list[Any]]:
    """What each client hears of ``code``, which emits ``news``."""
    for client in clients:
        client.heard.clear()
    service.run(code + "\nsocketio.emit('end')", **values)
    assert service.everybody_has(clients, "end", 1)
    return [client.values("news") for client in clients]


def test_who_is_addressed(service: Service) -> None:
    """Everybody, one client, rooms of any name, several, nobody; without some."""
    a, b, c = clients = [service.client() for _ in range(3)]
    rooms = {a: ["red", "blue", 7], b: ["red", 0.5], c: []}
    for client, names in rooms.items():
        for name in names:
            service.run("server.enter_room(sid, name)", sid=client.sid, name=name)
    service.run("server.enter_room(sid, ('a', 'tuple'))", sid=c.sid)
    everybody = [["x"], ["x"], ["x"]]
    sids = [client.sid for client in clients]
    for options, expected in [
        ("", everybody),
        ("to=None", everybody),
        ("to=sids[1]", [[], ["x"], []]),
        ("room=sids[1]", [[], ["x"], []]),
        ("to='red'", [["x"], ["x"], []]),
        ("to='blue'", [["x"], [], []]),
        ("to=7", [["x"], [], []]),
        ("to=0.5", [[], ["x"], []]),
        ("to=[('a', 'tuple')]", [[], [], ["x"]]),
        ("to=['red', 'blue']", [["x"], ["x"], []]),
        ("to=('blue', 'red')", [["x"], ["x"], []]),
        ("to=['blue', 'red', sids[2], sids[0], 'nobody', 'red']", everybody),
        ("to='nobody'", [[], [], []]),
        ("to=['nobody', 'no one']", [[], [], []]),
        ("namespace='/unknown'", [[], [], []]),
        ("skip_sid=sids[0]", [[], ["x"], ["x"]]),
        ("skip_sid=[sids[0], sids[2]]", [[], ["x"], []]),
        ("skip_sid=[sids[0], 'nobody'], to='red'", [[], ["x"], []]),
        ("skip_sid=sids[1], to=sids[1]", [[], [], []]),
        ("skip_sid=sids, to=['red', 'blue']", [[], [], []]),
    ]:
        heard = said(service, clients, f"socketio.emit('news', 'x', {options})", sids=sids)
        assert heard == expected, options


def test_the_room_of_a_client_may_have_guests(service: Service) -> None:
    """Who enters another's own room gets what is sent to that one."""
    host, guest = clients = [service.client() for _ in range(2)]
    name = host.sid
    code = """
try:
    server.enter_room(guest, host)
except ValueError as error:
    result = str(error)
"""
    refused = service.run(code, guest=guest.sid, host=name)
    if refused:
        pytest.skip(f"python-socketio: {refused}")
    code = "socketio.emit('news', 1, to=host)"
    assert said(service, clients, code, host=name) == [[1], [1]]
    code = "socketio.emit('news', 1, to=host, skip_sid=host)"
    assert said(service, clients, code, host=name) == [[], [1]]
    host.socket.disconnect()
    assert wait_until(lambda: service.server.ask()["sockets"] == 1, 10)
    assert said(service, [guest], "socketio.emit('news', 1, to=host)", host=name) == [[1]]
    service.run("server.leave_room(guest, host)", guest=guest.sid, host=name)
    assert said(service, [guest], "socketio.emit('news', 1, to=host)", host=name) == [[]]


def test_namespaces_are_apart(service: Service) -> None:
    """The same client, the same name of a room, another namespace."""
    a, b = service.client(namespaces=["/", "/chat"]), service.client()
    a.call("run", "join_room('red')", namespace="/chat")
    b.call("join", "red")
    heard = said(
        service,
        [a, b],
        "socketio.emit('news', 1, to='red'); socketio.emit('news', 2, to='red', namespace='/chat')",
    )
    assert heard == [[2], [1]]
    heard = said(service, [a, b], "socketio.emit('news', 1, namespace='/chat')")
    assert heard == [[1], []]
    a.heard.clear()
    assert a.call("run", "flask_socketio.emit('news', 'own')", namespace="/chat") is None
    assert a.values("news") == ["own"]


#: Stock sends something else to WebSockets; python-socketio 5.10 cannot serialise them.
BYTEARRAYS = [
    ("bytearray(b'abc')", b"abc"),
    ("(b'1', {'b': bytearray(b'2')})", (b"1", {"b": b"2"})),
]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_payloads(service: Service, transport: str) -> None:
    """None, text, several arguments, binary in depth, a megabyte."""
    clients = [service.client(transport), service.client(transport)]
    for code, expected in [
        ("None", ()),
        ("'text'", "text"),
        ("'é \\U0001f600 \\u2028 \\x00'", "é \U0001f600 \u2028 \x00"),
        ("''", ""),
        ("(1, 'two', [3])", (1, "two", [3])),
        ("[1, 2]", [1, 2]),
        ("()", ()),
        ("b'\\x00\\xff'", b"\x00\xff"),
        ("b''", b""),
        ("{'a': [b'1', {'b': b'2'}], 'c': b'3' * 70_000}", {"a": [b"1", {"b": b"2"}], "c": b"3" * 70_000}),
        ("(b'1', {'b': b'2'})", (b"1", {"b": b"2"})),
        *(BYTEARRAYS if service.is_native and not service.is_old else []),
        ("'y' * 1_000_000", "y" * 1_000_000),
        ("b'z' * 1_000_000", b"z" * 1_000_000),
        ("{'nested': {'deep': [1.5, True, None]}}", {"nested": {"deep": [1.5, True, None]}}),
    ]:
        heard = said(service, clients, f"socketio.emit('news', {code})")
        assert heard == [[expected], [expected]], code
        heard = said(service, clients, f"socketio.emit('news', {code}, to=sid)", sid=clients[0].sid)
        assert heard == [[expected], []], code


def test_what_cannot_be_serialised(service: Service) -> None:
    """The emitter is told, in the serialiser's words, and nobody gets anything."""
    clients = [service.client(), service.client("polling")]
    for target in ("", ", to=sid", ", to='nobody'"):
        code = f"""
try:
    socketio.emit('news', object(){target})
except TypeError as error:
    result = str(error)
"""
        assert "JSON serializable" in service.run(code, sid=clients[0].sid)
    code = """
for emit in (safe_emit, hangup.flask_socketio.emit):
    try:
        emit('news', {'deep': [object()]}, to=sid)
    except TypeError as error:
        result = (result or '') + str(error)
"""
    told = clients[0].call("run", f"sid = {clients[0].sid!r}\n{code}")
    assert told.count("JSON serializable") == 2
    assert said(service, clients, "") == [[], []]


def test_without_oneself(service: Service) -> None:
    """``include_self=False`` in a handler, in each of the three ways to emit."""
    clients = a, b = [service.client(), service.client()]
    for function in ("flask_socketio.emit", "hangup.flask_socketio.emit"):
        for options, expected in [
            ("'x'", [["x"], []]),
            ("'x', broadcast=True", [["x"], ["x"]]),
            ("'x', broadcast=True, include_self=False", [[], ["x"]]),
            ("'x', include_self=False", [[], []]),
            ("'x', to=b", [[], ["x"]]),
        ]:
            a.call("run", f"b = {b.sid!r}; {function}('news', {options})")
            assert said_and_cleared(service, clients) == expected, (function, options)
    a.call("run", "safe_emit('news', 'x', include_self=False)")
    assert said_and_cleared(service, clients) == [[], ["x"]]


def said_and_cleared(service: Service, clients: list[Client]) -> list[list[Any]]:
    service.run("socketio.emit('end')")
    assert service.everybody_has(clients, "end", 1)
    heard = [client.values("news") for client in clients]
    for client in clients:
        client.heard.clear()
    return heard


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
    clients[2].socket.eio.ws.sock.shutdown(socket.SHUT_RDWR)
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


def test_emits_with_callbacks(service: Service) -> None:
    """Each recipient's answer comes back, in order with other emits."""
    client = service.client()
    client.socket.on("question", lambda number: (client.heard.append(("news", number)), f"{number}!")[1])
    code = """
kept['answers'] = []
for number in range(0, 20, 2):
    socketio.emit('news', number, to=sid)
    socketio.emit('question', number + 1, to=sid, callback=kept['answers'].append)
"""
    service.run(code, sid=client.sid)
    expected = [f"{number}!" for number in range(1, 20, 2)]
    assert wait_until(lambda: sorted(service.run("result = kept['answers']")) == sorted(expected), 10)
    assert client.values("news") == list(range(20))


@pytest.mark.parametrize("stack", [GTHREAD, OLD_GEVENT], ids=ids)
def test_other_encodings(tmp_path: Path, stack: Stack) -> None:
    """A serializer that knows binary, and a JSON module of the application's."""
    pytest.importorskip("msgpack")
    data = {"number": 1, "bytes": [b"1", {"deep": b"\xff"}], "text": "é"}
    for name in ("msgpack", "json"):
        (tmp_path / name).mkdir()
    with serve(tmp_path / "msgpack", stack, OPTIONS=json.dumps({"serializer": "msgpack"})) as service:
        clients = [service.client(kind, serializer="msgpack") for kind in ("websocket", "polling")]
        code = "for number in range(50): socketio.emit('news', {**data, 'number': number})"
        heard = said(service, clients, code, data=data)
        assert heard == [[{**data, "number": number} for number in range(50)]] * 2
        assert clients[0].call("run", f"result = {data!r}") == data
    with serve(tmp_path / "json", stack, OWN_JSON="1") as service:
        clients = [service.client(kind) for kind in ("websocket", "polling")]
        assert (
            said(service, clients, "socketio.emit('news', {'a': app, 'b': b'1'})")
            == [[{"a": "<Flask>", "b": b"1"}]] * 2
        )


@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=ids)
def test_emits_are_seen_by_those_who_watch(tmp_path: Path, stack: Stack) -> None:
    """The admin interface counts them, engineio's logger names them, and a test client gets them."""
    options = json.dumps({"engineio_logger": True})
    with serve(tmp_path, stack, OPTIONS=options, ADMIN="production") as service:
        admin = service.client(namespaces=["/admin"])
        clients = [service.client(), service.client(), service.client("polling")]
        code = "for number in range(30): socketio.emit('news', {'number': number})"
        service.run(code)
        sids = service.run(
            "result = [server.manager.eio_sid_from_sid(sid, '/') for sid in sids]",
            sids=[client.sid for client in clients],
        )
        for client, sid in zip(clients, sids):
            assert service.everybody_has([client], "news", 30)
            assert [news["number"] for news in client.values("news")] == list(range(30))
            assert service.server.log.count(f"{sid}: Sending packet MESSAGE") >= 30

        def packets_out() -> int:
            events = [event for stats in admin.values("server_stats") for event in stats["aggregatedEvents"]]
            return sum(int(event["count"]) for event in events if event["type"] == "packetsOut")

        # a poll is one packet to it
        assert wait_until(lambda: packets_out() >= 60, 10), packets_out()
        got = "result = [one['args'][0]['number'] for one in client.get_received() if one['name'] == 'news']"
        # last: real clients get nothing any more
        assert service.run(f"client = socketio.test_client(app)\n{code}\n{got}") == list(range(30))
        assert "Traceback" not in service.server.log
