"""Polling clients that vanish, on four threads, while others trade; quotes on a second port."""

from __future__ import annotations

import functools
import json

import socketio
import websocket

from .. import javascript
from ..clients import Address, Poller, Refused, ask, get, together
from ..deployment import Deployment, Outcome
from ..service import free_port
from ..site import Site

_COMPLAINT = "KeyError: 'Session is disconnected'"
_PROVOKES = ("KeyError: 'quantity'", "sqlite3.OperationalError: no such table: positions")
_PATIENCE = 6.0


def play(site: Site, outcome: Outcome) -> None:
    """Traders come in waves; between them pages are closed, and phones lose their network."""
    address, feed = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    interval, patience = (2, 2) if site.quick else (10, 5)
    env = {
        "HOST": address[0],
        "PORT": str(address[1]),
        "FEED_PORT": str(feed[1]),
        "PING_INTERVAL": str(interval),
        "PING_TIMEOUT": str(patience),
        "LEDGER": str(site.directory / "ledger.db"),
    }
    service = site.start("web", ["./docker-entrypoint.sh"], address[1], feed[1], workers=1, env=env)
    site.surely(functools.partial(listen_to_feed, feed))
    site.surely(functools.partial(trade, address))
    together(functools.partial(trade, address), 8)  # the threads that a worker may start have been started
    outcome.before = site.settled()

    for _ in range(1 if site.quick else 3):
        together(functools.partial(close_the_page, address), 4)
        together(functools.partial(lose_the_network, address), 4)
        outcome.tally(together(functools.partial(trade, address), 12))
        outcome.tally(together(functools.partial(listen_to_feed, feed), 4))

    if javascript.missing():
        outcome.notes.append(javascript.missing())
    else:
        outcome.tally(together(functools.partial(trade_in_a_page, address), 3))

    site.provoke(_PROVOKES[0], functools.partial(order_without_quantity, address))
    site.provoke(_PROVOKES[1], functools.partial(ask_a_database_without_tables, address))
    outcome.after = site.rest(outcome.before, seconds=15)
    outcome.complaints = service.log.count(_COMPLAINT)


def trade(address: Address, number: int) -> None:
    """A whole conversation: connect, upgrade, watch a symbol, hear a quote, have an order filled."""
    with socketio.SimpleClient(reconnection=False) as client:
        client.connect(f"http://{address[0]}:{address[1]}", wait_timeout=_PATIENCE)
        client.emit("watch", "EURUSD")
        while client.receive(timeout=_PATIENCE)[0] != "quote":
            pass
        filled = client.call("order", {"symbol": "EURUSD", "quantity": number + 1}, timeout=_PATIENCE)
        if filled["filled"] != number + 1:
            raise Refused(f"filled {filled}")
    get(address, "/health", timeout=_PATIENCE)


def trade_in_a_page(address: Address, number: int) -> None:
    """What a trader's page does."""
    said = javascript.ask(address, "order", {"symbol": "BTCUSD", "quantity": number + 1}, "symbols")
    if said["answer"]["filled"] != number + 1:
        raise Refused(f"filled {said}")


def listen_to_feed(feed: Address, number: int) -> None:
    """Three quotes on the second port; then the connection is gone, without a word."""
    client = websocket.create_connection(f"ws://{feed[0]}:{feed[1]}", timeout=_PATIENCE)
    try:
        for _ in range(3):
            json.loads(client.recv())["price"]
    finally:
        client.shutdown()


def close_the_page(address: Address, number: int) -> None:
    """A page says that it closes, while an order of it is still on its way."""
    client = Poller(address, timeout=_PATIENCE)
    client.send('42["watch","GBPUSD"]')
    client.send("1")
    client.send('42["order",{"symbol":"GBPUSD","quantity":1}]', expected=None)


def lose_the_network(address: Address, number: int) -> None:
    """A poll waits for what nobody will read."""
    client = Poller(address, timeout=_PATIENCE)
    with client.polling():
        pass


def order_without_quantity(address: Address, number: int) -> None:
    """The handler fails."""
    client = Poller(address, timeout=30)
    client.send('42["order",{"symbol":"GBPUSD"}]')
    client.send("1")


def ask_a_database_without_tables(address: Address, number: int) -> None:
    """The view fails."""
    ask(address, "GET", "/positions/7", timeout=30, expected=500)


deployment = Deployment(
    name="trading",
    complaint="The log is full of KeyError: 'Session is disconnected', and with four threads a few tabs that were "
    "closed keep everybody else out",
    complains="KeyErrors for sessions that had ended",
    provokes=_PROVOKES,
    play=play,
)
