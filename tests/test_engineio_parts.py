"""Parts of an ``engineio.Server`` that cost less per client: they give what stock gives."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

engineio = pytest.importorskip("engineio")

from hangup._websocket import gate  # noqa: E402
from hangup._websocket.outlet import outlet_class  # noqa: E402
from hangup._websocket.sessions import id_maker  # noqa: E402


def test_ids_are_as_stock_makes_them() -> None:
    """20 characters that need no quoting, and no two the same."""
    server = engineio.Server(async_mode="threading")
    make = id_maker(server)
    ids = [make() for _ in range(1000)]
    assert len(set(ids)) == 1000
    stock = [server.generate_id() for _ in range(1000)]
    assert {len(one) for one in ids} == {len(one) for one in stock} == {20}
    assert set("".join(ids)) == set("".join(stock))


def test_ids_of_an_own_making_are_kept() -> None:
    """In a subclass, and on the server itself."""

    class Named(engineio.Server):  # type: ignore[misc]
        """With names of its own."""

        def generate_id(self) -> str:
            return "own"

    assert id_maker(Named(async_mode="threading"))() == "own"
    server = engineio.Server(async_mode="threading")
    server.generate_id = lambda: "own"
    assert id_maker(server)() == "own"


@pytest.mark.parametrize("path", ["/engine.io/", "/engine.io/more", "/engine.io", "/else", ""])
@pytest.mark.parametrize("under_gunicorn", [True, False])
def test_the_middleware_sends_requests_where_stock_does(path: str, under_gunicorn: bool) -> None:
    """And gives eventlet the socket, as stock does."""

    class Server:
        """Names itself."""

        def handle_request(self, environ: dict[str, Any], _start_response: Any) -> list[str]:
            given = environ.get("eventlet.input")
            return ["engineio", given and given.get_socket()]

    def ask(call: Any) -> Any:
        app = engineio.WSGIApp(Server(), lambda *_: ["application"])
        environ = {"PATH_INFO": path, **({"gunicorn.socket": "socket"} if under_gunicorn else {})}
        return call(app, environ, lambda *_: None)

    stock = engineio.WSGIApp.__call__
    assert ask(gate.middleware(stock)) == ask(stock)


def test_a_queue_is_made_when_one_is_needed() -> None:
    """With what was put before, in order; for a waiting thread as well."""
    outlet = outlet_class(queue.Queue)()
    outlet.put(1)
    outlet.put(2)
    assert [outlet.get(timeout=5), outlet.get(block=False)] == [1, 2]
    assert outlet.empty()
    with pytest.raises(queue.Empty):
        outlet.get(block=False)
    taken: list[int] = []
    empty = outlet_class(queue.Queue)()
    waiting = threading.Thread(target=lambda: taken.append(empty.get(timeout=10)))
    waiting.start()
    empty.put(3)
    waiting.join(10)
    assert taken == [3]
    with pytest.raises(AttributeError):
        outlet.no_such_thing  # noqa: B018


def test_a_queue_with_a_size_keeps_it() -> None:
    """Applications may make queues of their own."""
    assert outlet_class(queue.Queue)(maxsize=3).maxsize == 3
