"""Tabs that are closed while their roles are told something, behind a router, under eventlet."""

from __future__ import annotations

import functools
import json
import re
import sys

import socketio
from hangup.testing import reset

from .. import javascript
from ..clients import Address, Poller, Refused, ask, get, open_websocket, together
from ..deployment import Deployment, Outcome
from ..environment import Missing
from ..service import Service, free_port
from ..site import ROUTER, Site

_NOISE = re.compile(r"Errno (?:9|32|104)\b")
_PROVOKES = (
    "KeyError: 'ticket'",
    "sqlite3.OperationalError: unable to open database file",
    "OSError: [Errno 9] Bad file descriptor",
    "BrokenPipeError: [Errno 32] Broken pipe",
)
_PATIENCE = 10.0
_JSON = {"Content-Type": "application/json"}


def play(site: Site, outcome: Outcome) -> None:
    """Tabs come and go in waves, politely and not; then the application fails in four ways."""
    service, app = start(site)
    address = ("127.0.0.1", free_port())
    site.nginx(
        ROUTER,
        {"listen 80;": f"listen 127.0.0.1:{address[1]};", "127.0.0.1:8000": f"{app[0]}:{app[1]}"},
        address[1],
    )
    site.surely(functools.partial(look, address))
    together(functools.partial(look, address), 8)
    outcome.before = site.settled("web")

    for _ in range(1 if site.quick else 4):
        together(functools.partial(close_the_tab, address), 12)
        outcome.tally(together(functools.partial(look, address), 12))
    if javascript.missing():
        outcome.notes.append(javascript.missing())
    else:
        outcome.tally(together(functools.partial(look_in_a_page, address), 3))

    lines = len(_NOISE.findall(service.log))
    site.provoke(_PROVOKES[0], functools.partial(assign_nothing, address))
    site.provoke(_PROVOKES[1], lambda _: ask(address, "GET", "/tickets/7", expected=500))
    file = json.dumps({"file": str(site.directory / "export.csv")}).encode()
    site.provoke(_PROVOKES[2], lambda _: ask(address, "POST", "/export", file, expected=500, **_JSON))
    site.provoke(_PROVOKES[3], lambda _: ask(address, "POST", "/print", expected=500))
    outcome.after = site.rest(outcome.before, "web", seconds=8)
    outcome.complaints = lines + sum(error not in service.log for error in _PROVOKES)


def start(site: Site) -> tuple[Service, Address]:
    """gunicorn alone, as the Procfile has it, and where it listens.

    Raises:
        Missing: its eventlet does not run on this Python.
    """
    if sys.version_info >= (3, 12):
        raise Missing("eventlet 0.33.3 does not run on Python 3.12 and newer")
    app = ("127.0.0.1", free_port())
    env = {
        "HOST": app[0],
        "PORT": str(app[1]),
        "DASHBOARD_DATABASE": str(site.directory / "nowhere" / "tickets.db"),
        "DASHBOARD_PRINTER": "/bin/false",
    }
    return site.start("web", site.procfile()["web"], app[1], workers=1, env=env), app


def look(address: Address, number: int) -> None:
    """A dashboard: its role's room, a ticket that is opened, an assignment."""
    role = ("admin", "operator", "viewer")[number % 3]
    transports = ["websocket"] if number % 2 else None
    with socketio.SimpleClient(reconnection=False) as client:
        client.connect(
            f"http://{address[0]}:{address[1]}",
            auth={"role": role},
            transports=transports,
            wait_timeout=_PATIENCE,
        )
        ticket = json.dumps({"number": number}).encode()
        ask(address, "POST", "/tickets", ticket, expected=201, timeout=_PATIENCE, **_JSON)
        while client.receive(timeout=_PATIENCE)[0] != "ticket":
            pass
        done = client.call("assign", {"ticket": number}, timeout=_PATIENCE)
        if done["assigned"] != number:
            raise Refused(f"assigned {done}")
    get(address, "/health", timeout=_PATIENCE)


def look_in_a_page(address: Address, number: int) -> None:
    """What the dashboard's page does."""
    said = javascript.ask(address, "assign", {"ticket": number}, "ticket", auth={"role": "operator"})
    if said["answer"] != {"assigned": number}:
        raise Refused(f"assigned {said}")


def close_the_tab(address: Address, number: int) -> None:
    """By a reset, while others open tickets; every third polls."""
    if number % 3 == 0:
        client = Poller(address, timeout=_PATIENCE, auth={"role": "viewer"})
        with client.polling():
            pass
        client.send("1", expected=None)
        return
    tab = open_websocket(address, timeout=_PATIENCE, auth={"role": "viewer"})
    tab.send('42["assign",{"ticket":0}]')
    reset(tab.sock)


def assign_nothing(address: Address, number: int) -> None:
    """The handler fails."""
    Poller(address, timeout=_PATIENCE, auth={"role": "admin"}).send('42["assign",{}]')


deployment = Deployment(
    name="dashboard",
    complaint="OSError: [Errno 9] Bad file descriptor whenever somebody closes a tab. We filter these lines by their "
    "text, and then an export failed for a week without a line in the log",
    complains="lines about sockets, or real errors that were hidden",
    provokes=_PROVOKES,
    play=play,
)
