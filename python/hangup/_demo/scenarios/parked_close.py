"""Row 5: another thread closes a kept-alive connection that gunicorn has parked, and new clients come.

gunicorn's poller still knows the number. Up to 23 the next connection with that number kills the worker;
later the next connection that is parked under it is thrown away, without a line in the log.
"""

from __future__ import annotations

from contextlib import ExitStack

from hangup._demo.scenarios._clients import Client, get_once
from hangup._demo.scenarios._measure import Clock, Measurement, drift
from hangup._demo.server import Server, Stack

_NEWCOMERS = 3
_RESIDENTS = 3


def measure(stack: Stack, rounds: int = 10) -> Measurement:
    """Run ``rounds`` times: park, close, three new clients with two requests each.

    Three more clients stay for the whole run and ask once in each round. dropped_innocents counts, of all of
    these, the requests that were not answered; a client that was dropped is replaced. ``extra`` has
    "innocents", how many requests that could have been, and "parked", the rounds in which the victim was
    parked when it was closed.
    """
    clock = Clock("parked-close", stack, rounds)
    dropped = parked = 0
    lasting = stack.with_("--keep-alive", "60", "--graceful-timeout", "1")
    with Server(lasting, "app_keepalive") as server, ExitStack() as staying:
        residents = [_resident(server, staying) for _ in range(_RESIDENTS)]
        for index in range(rounds):
            with Client(server.address) as victim:
                victim.get(f"/watch?{index}")
                parked += get_once(server.address, f"/hang-up?{index}") == b"parked\n"
                dropped += _newcomers(server)
            for place, client in enumerate(residents):
                if client.get() is None:
                    dropped += 1
                    residents[place] = _resident(server, staying)
        staying.close()
        innocents = rounds * (_RESIDENTS + _NEWCOMERS)
        return clock.read(
            server,
            dropped_innocents=dropped,
            nr_conns_drift=drift(server),
            extra={"parked": parked, "innocents": innocents},
        )


def _newcomers(server: Server) -> int:
    """Return how many of the new clients were not answered twice on one connection."""
    with ExitStack() as staying:
        clients = [staying.enter_context(Client(server.address)) for _ in range(_NEWCOMERS)]
        answered = [client.get() is not None for client in clients]
        answered = [first and client.get() is not None for first, client in zip(answered, clients)]
        return answered.count(False)


def _resident(server: Server, staying: ExitStack) -> Client:
    client = staying.enter_context(Client(server.address))
    client.get()
    return client
