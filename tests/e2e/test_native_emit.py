"""Native emits of a real Flask-SocketIO service, with real clients: who gets what, and who is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from emit_app import (
    GEVENT,
    GTHREAD,
    OLD_GEVENT,
    STACKS,
    Client,
    Service,
    Stack,
    ids,
    said,
    serve,
    services,
)
from hangup._demo.server import wait_until

pytest.importorskip("socketio")

SERVICES = services(STACKS)


def said_and_cleared(service: Service, clients: list[Client]) -> list[list[Any]]:
    service.run("socketio.emit('end')")
    assert service.everybody_has(clients, "end", 1)
    heard = [client.values("news") for client in clients]
    for client in clients:
        client.heard.clear()
    return heard


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
            for number in range(30):
                line = f'{sid}: Sending packet MESSAGE data 2["news",{{"number":{number}}}]'
                assert service.server.log.count(line) == 1, line

        def packets_out() -> int:
            events = [event for stats in admin.values("server_stats") for event in stats["aggregatedEvents"]]
            return sum(int(event["count"]) for event in events if event["type"] == "packetsOut")

        # a poll is one packet to it
        assert wait_until(lambda: packets_out() >= 60, 10), packets_out()
        got = "result = [one['args'][0]['number'] for one in client.get_received() if one['name'] == 'news']"
        # last: real clients get nothing any more
        assert service.run(f"client = socketio.test_client(app)\n{code}\n{got}") == list(range(30))
        assert "Traceback" not in service.server.log
