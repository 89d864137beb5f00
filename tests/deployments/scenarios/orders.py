"""Customers who watch their orders, on connections that stall; gunicorn, daphne, Redis and nginx."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import websocket
from hangup._demo.server import wait_until
from hangup.testing import reset

from ..clients import Address, Refused, ask, get, together
from ..deployment import Deployment, Outcome
from ..service import free_port
from ..site import Site

_PROVOKES = (
    "KeyError: 'number'",
    "TypeError: Object of type Decimal is not JSON serializable",
    "OSError: [Errno 28] No space left on device",
    "django.db.utils.OperationalError: no such table: accounting",
)
_PATIENCE = 15.0
_JSON = {"Content-Type": "application/json"}
_SERVERS = ("all", "web", "websockets")
#: How often a customer whose page is frozen has asked for what fills the buffers on the way.
_HISTORIES = 250
_NOTE = "Ring twice. " * 300


def play(site: Site, outcome: Outcome) -> None:
    """Customers come and go in waves; between them pages freeze, and are closed in that state."""
    shop = start(site)
    site.surely(shop.order)
    together(shop.order, 24)  # the threads that its workers may start have been started
    site.surely(functools.partial(shop.say, {"type": "history"}))
    running = [name for name in _SERVERS if name in site.services]
    outcome.before = site.settled(*running)

    for _ in range(1 if site.quick else 3):
        frozen = Frozen(shop, 3)
        outcome.tally(together(shop.order, 12))
        frozen.leave()
        outcome.tally(together(shop.order, 12))
        frozen.end()
    wait_until(lambda: not shop.customers(), 5)
    outcome.complaints = len(shop.customers()) + site.log().count("Disconnected: Attempt to send")

    site.provoke(_PROVOKES[0], functools.partial(shop.say, {"type": "cancel"}))
    site.provoke(_PROVOKES[1], functools.partial(shop.say, {"type": "total"}))
    (site.directory / "invoices").mkdir()
    (site.directory / "invoices" / "1.txt").symlink_to("/dev/full")
    site.provoke(_PROVOKES[2], lambda _: ask(shop.address, "POST", "/orders/1/invoice"))
    site.provoke(_PROVOKES[3], lambda _: ask(shop.address, "GET", "/report", expected=500))
    outcome.complaints += sum(error not in site.log() for error in _PROVOKES)
    outcome.after = site.rest(outcome.before, *running, seconds=8)


def start(site: Site) -> Shop:
    """Redis, what the Procfile has, and nginx."""
    http, websockets, front = free_port(), free_port(), free_port()
    env = {
        "SECRET_KEY": "of this run alone",
        "REDIS_URL": site.redis(),
        "DATABASE": str(site.directory / "orders.sqlite3"),
        "INVOICES": str(site.directory / "invoices"),
        "HTTP_PORT": str(http),
        "WS_PORT": str(websockets),
    }
    site.run(["python", "manage.py", "migrate", "--verbosity", "0"], env)
    ports = {"all": (http, websockets), "web": (http,), "websockets": (websockets,)}
    for name, command in site.procfile().items():
        site.start(name, command, *ports[name], workers=2 if http in ports[name] else 0, env=env)
    replaced = {
        "listen 80;": f"listen 127.0.0.1:{front};",
        "127.0.0.1:8000": f"127.0.0.1:{http}",
        "127.0.0.1:8001": f"127.0.0.1:{websockets}",
    }
    site.nginx("nginx.conf", replaced, front)
    return Shop(("127.0.0.1", front))


@dataclass(frozen=True)
class Shop:
    """What its customers do."""

    address: Address

    def order(self, number: int) -> None:
        """Signs in, watches, places an order by HTTP, and hears of it."""
        customer = f"customer {number}"
        with closing(self.watch(customer)) as client:
            order = {"customer": customer, "item": f"item {number}", "note": _NOTE, "price": "9.90"}
            placed = json.loads(self.post("/orders", order, expected=201))
            while (told := json.loads(client.recv())).get("number") != placed["number"]:
                if told["type"] == "heartbeat":
                    client.send('{"type":"heartbeat_ack"}')
        get(self.address, "/health", timeout=_PATIENCE)

    def watch(self, customer: str, sockopt: Sequence[tuple[int, int, int]] = ()) -> websocket.WebSocket:
        """A WebSocket that has been welcomed."""
        token = json.loads(self.post("/sign-in", {"customer": customer}, expected=200))["token"]
        url = f"ws://{self.address[0]}:{self.address[1]}/ws/orders?token={token}"
        client = websocket.create_connection(url, timeout=_PATIENCE, sockopt=sockopt)
        while (told := json.loads(client.recv()))["type"] != "welcome":
            if told["type"] != "heartbeat":
                raise Refused(f"instead of a welcome: {told}")
        return client

    def say(self, message: dict[str, str], number: int) -> None:
        """Says something, and hears what comes, until it is told no more."""
        with closing(self.watch("somebody else")) as client:
            client.send(json.dumps(message))
            client.settimeout(1)
            try:
                while client.recv():
                    pass
            except (websocket.WebSocketException, OSError):
                return

    def post(self, path: str, content: object, *, expected: int | None = None) -> bytes:
        """JSON."""
        body = json.dumps(content).encode()
        return ask(self.address, "POST", path, body, expected=expected, timeout=_PATIENCE, **_JSON)

    def customers(self) -> list[str]:
        """Who is connected, as the shop believes."""
        found: list[str] = json.loads(get(self.address, "/customers", timeout=_PATIENCE))["customers"]
        return found


class Frozen:
    """Pages that ask for much and read nothing of it."""

    def __init__(self, shop: Shop, count: int) -> None:
        """Returns when all they asked for is on its way."""
        small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
        self._clients = [shop.watch(f"frozen {number}", small) for number in range(count)]
        with closing(shop.watch("one who reads")) as watcher:
            for number, client in enumerate(self._clients):
                for _ in range(_HISTORIES):
                    client.send('{"type":"history"}')
                client.send(json.dumps({"type": "cancel", "number": number}))
            waited_for = set(range(count))
            while waited_for:
                told = json.loads(watcher.recv())
                if told["type"] == "cancelled":
                    waited_for.discard(told["number"])

    def leave(self) -> None:
        """Each says that it closes; the answer waits behind what it has not read."""
        for client in self._clients:
            client.send_close()

    def end(self) -> None:
        """Their machines are gone as well."""
        for client in self._clients:
            reset(client.sock)


deployment = Deployment(
    name="orders",
    complaint="daphne's log says 'Attempt to send on a closed protocol', customers who left stay on the list for ever, "
    "and an invoice that could not be written was a 499 that nobody saw",
    complains="sends to closed protocols, customers listed who had left, real errors that were hidden",
    provokes=_PROVOKES,
    play=play,
)
