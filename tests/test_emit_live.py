"""safe_emit in Flask-SocketIO: handlers, views, test clients, and real clients that reset."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from hangup import EmitResult, safe_emit
from hangup.testing import reset

flask = pytest.importorskip("flask")
flask_socketio = pytest.importorskip("flask_socketio")
socketio = pytest.importorskip("socketio")
websocket = pytest.importorskip("websocket")
serving = pytest.importorskip("werkzeug.serving")

NOBODY = EmitResult(sent=0, queued=0, gone=0, dropped=0)


def wait_until(true: Callable[[], object], deadline: float = 20.0) -> None:
    """Polls until it is true."""
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


# ---- event handlers, views and test clients


@pytest.fixture
def flask_app() -> Iterator[tuple[Any, Any]]:
    """A Flask application with Flask-SocketIO that has test clients, and handlers on two namespaces."""
    app = flask.Flask("shop")
    io = flask_socketio.SocketIO(app, async_mode="threading", monitor_clients=False)
    for namespace in ("/", "/chat"):
        io.on_event("say", lambda *args: safe_emit("said", *args)._asdict(), namespace=namespace)
        io.on_event(
            "tell", lambda *args: safe_emit("told", *args, include_self=False)._asdict(), namespace=namespace
        )
    yield app, io
    flask_socketio.SocketIOTestClient.clients.clear()


def new_client(flask_app: tuple[Any, Any], **options: Any) -> Any:
    """A test client, if this version's can receive."""
    app, io = flask_app
    client = io.test_client(app, **options)
    if "_send_eio_packet" not in vars(io.server):
        pytest.skip(
            "the test client of this Flask-SocketIO (before 5.3.6) receives no emits without callback"
        )
    return client


def heard(client: Any, namespace: str = "/") -> list[str]:
    return [message["name"] for message in client.get_received(namespace)]


def test_in_an_event_handler_the_events_namespace_is_the_default(flask_app: tuple[Any, Any]) -> None:
    """As in flask_socketio.emit; and as in SocketIO.emit, everybody there is addressed."""
    main = [new_client(flask_app) for _ in range(2)]
    chat = [new_client(flask_app, namespace="/chat") for _ in range(3)]
    assert chat[0].emit("say", "hi", namespace="/chat", callback=True) == EmitResult(3, 0, 0, 0)._asdict()
    assert [heard(client, "/chat") for client in chat] == [["said"]] * 3
    assert [heard(client) for client in main] == [[]] * 2
    assert main[0].emit("tell", "hi", callback=True)["sent"] == 1
    assert [heard(client) for client in main] == [[], ["told"]]


def test_another_servers_event_sets_no_defaults(flask_app: tuple[Any, Any]) -> None:
    """The namespace and the sender of an event mean nothing to a second server in the process."""
    _, io = flask_app
    second = socketio.Server(async_mode="threading", monitor_clients=False)
    second.manager.connect("somebody", "/")

    def relay(*_args: Any) -> list[int]:
        with pytest.raises(RuntimeError, match="skip_sid"):
            safe_emit("news", include_self=False, server=second)
        return list(safe_emit("news", server=second))

    io.on_event("relay", relay, namespace="/chat")
    client = new_client(flask_app, namespace="/chat")
    assert client.emit("relay", namespace="/chat", callback=True) == [0, 0, 1, 0]


def test_in_a_request_or_an_application_context_the_server_is_found(flask_app: tuple[Any, Any]) -> None:
    """A view or a command emits to the default namespace of its application."""
    app, io = flask_app
    client = new_client(flask_app)
    app.add_url_rule("/push", view_func=lambda: safe_emit("pushed", 1)._asdict())
    assert app.test_client().get("/push").get_json() == {"sent": 1, "queued": 0, "gone": 0, "dropped": 0}
    with app.app_context():
        assert safe_emit("pushed").sent == 1
    assert safe_emit("pushed", server=io).sent == 1
    assert safe_emit("pushed", server=io.server).sent == 1
    assert heard(client) == ["pushed"] * 4
    client.disconnect()
    assert safe_emit("pushed", server=io) == NOBODY


def test_a_test_client_that_cannot_receive_is_not_counted_as_reached(flask_app: tuple[Any, Any]) -> None:
    """Before Flask-SocketIO 5.3.6 it took part in emits with a callback only."""
    app, io = flask_app
    client = io.test_client(app)
    vars(io.server).pop("_send_eio_packet", None)
    assert safe_emit("pushed", server=io) == EmitResult(0, 0, 1, 0)
    assert safe_emit("pushed", server=io, callback=print) == EmitResult(1, 0, 0, 0)
    assert heard(client) == ["pushed"]


def test_what_cannot_be_addressed_is_refused_with_what_to_do(flask_app: tuple[Any, Any]) -> None:
    """No server, one that is not ready, something else, or no sender to leave out."""
    app, io = flask_app
    with pytest.raises(RuntimeError, match="pass server="):
        safe_emit("news")
    with flask.Flask("bare").app_context(), pytest.raises(RuntimeError, match="pass server="):
        safe_emit("news")
    with pytest.raises(RuntimeError, match=r"init_app\(\)"):
        safe_emit("news", server=flask_socketio.SocketIO())
    for wrong in (socketio.Client(), app, "redis://", 7):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            safe_emit("news", server=wrong)
    with app.test_request_context(), pytest.raises(RuntimeError, match="skip_sid"):
        safe_emit("news", include_self=False)
    with pytest.raises(RuntimeError, match="skip_sid"):
        safe_emit("news", include_self=False, server=io.server)


# ---- real clients on a real server


class Browser:
    """A Socket.IO client on a WebSocket, in the test's own thread."""

    def __init__(self, port: int) -> None:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        self._ws = websocket.create_connection(url, timeout=20)
        self.eio_sid = json.loads(self._ws.recv()[1:])["sid"]
        self._ws.send("40")
        self.sid = json.loads(self._ws.recv()[2:])["sid"]

    def event(self) -> list[Any]:
        """The next event."""
        while True:
            text = self._ws.recv()
            if text.startswith("42"):
                return list(json.loads(text[2:]))
            assert text in {"2", "1"}, text

    def reset(self) -> None:
        reset(self._ws.sock)

    def close(self) -> None:
        self._ws.close()


@pytest.fixture
def live() -> Iterator[tuple[Any, int]]:
    """Flask-SocketIO in threading mode on werkzeug's server, and its port."""
    app = flask.Flask("shop")
    io = flask_socketio.SocketIO(
        app,
        async_mode="threading",
        monitor_clients=False,
        ping_interval=0.5,
        ping_timeout=30,
        cors_allowed_origins="*",
    )
    threads = set(threading.enumerate())
    httpd = serving.make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield io, httpd.server_port
    httpd.shutdown()
    thread.join()
    httpd.server_close()
    wait_until(lambda: set(threading.enumerate()) <= threads)


# engine.io's writer thread dies with EBADF when its WebSocket closes under it
dying_writers = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dying_writers
@pytest.mark.parametrize("position", [0, 1, 4])
def test_a_real_client_that_resets_in_the_middle_of_a_broadcast_costs_the_others_nothing(
    live: tuple[Any, int], position: int
) -> None:
    """The reset arrives and is dealt with by the server exactly when it is this client's turn."""
    io, port = live
    with ExitStack() as stack:
        browsers = [stack.enter_context(closing(Browser(port))) for _ in range(5)]
        leaving = browsers.pop(position)
        socket = io.server.eio.sockets[leaving.eio_sid]
        check = socket.check_ping_timeout

        def leave() -> Any:
            leaving.reset()
            wait_until(lambda: socket.closed)
            return check()

        socket.check_ping_timeout = leave
        assert safe_emit("news", 1, server=io) == EmitResult(0, 4, 1, 0)
        assert safe_emit("news", 2, server=io) == EmitResult(0, 4, 0, 0)
        for browser in browsers:
            assert [browser.event() for _ in range(2)] == [["news", 1], ["news", 2]]


@dying_writers
def test_while_real_clients_reset_at_random_the_others_get_every_message_once_and_in_order(
    live: tuple[Any, int],
) -> None:
    """Twenty leave during two hundred broadcasts; nothing is raised and the numbers add up."""
    io, port = live
    with ExitStack() as stack:
        staying = [stack.enter_context(closing(Browser(port))) for _ in range(5)]
        leaving = [stack.enter_context(closing(Browser(port))) for _ in range(20)]
        storm = threading.Thread(target=lambda: [browser.reset() for browser in leaving])
        results = []
        for number in range(200):
            if number == 20:
                storm.start()
            results.append(safe_emit("news", number, server=io))
        storm.join()
        for browser in staying:
            assert [browser.event() for _ in range(200)] == [["news", number] for number in range(200)]
        wait_until(lambda: len(io.server.eio.sockets) <= 5 or safe_emit("x", server=io).queued == 5)
    assert all(result.queued >= 5 and result.queued + result.gone <= 25 for result in results)
    assert not any(result.dropped or result.sent for result in results)


def test_a_python_socketio_client_gets_arguments_and_acknowledges(live: tuple[Any, int]) -> None:
    """The whole way there and back, with an acknowledgement."""
    pytest.importorskip("requests")
    io, port = live
    client, acknowledged = socketio.Client(), queue.Queue[Any]()
    client.on("question", lambda *args: args)
    client.connect(f"http://127.0.0.1:{port}", wait_timeout=20)
    try:
        wait_until(lambda: safe_emit("ready", server=io).queued == 1)
        result = safe_emit(
            "question", 6, b"\x07", to=client.get_sid(), callback=lambda *a: acknowledged.put(a), server=io
        )
        assert result == EmitResult(0, 1, 0, 0)
        assert acknowledged.get(timeout=20) == (6, b"\x07")
    finally:
        client.disconnect()
