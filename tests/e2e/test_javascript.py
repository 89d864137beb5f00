"""The JavaScript clients of Socket.IO, in Node, against native WebSockets."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hangup._demo.server import wait_until
from javascript import staying, talk
from journal_app import GEVENT, GTHREAD, STACKS, WAYS, Service, Stack, ends, serve

UPGRADE, WEBSOCKET, POLLING = ["polling", "websocket"], ["websocket"], ["polling"]


def combinations(stacks: list[Stack], others: list[Any], often: list[tuple[Stack, Any]]) -> list[Any]:
    """Parameters for each stack with each of the others; all but ``often`` are slow."""
    found = []
    for stack, other in itertools.product(stacks, others):
        version, worker, _, _, old = stack
        name = f"{worker}-{version}{'-old' if old else ''}-{other if isinstance(other, str) else '+'.join(other)}"
        marks = [] if (stack, other) in often else [pytest.mark.slow]
        found.append(pytest.param(stack, other, id=name, marks=marks))
    return found


BYTES = {"bytes": [0, 1, 127, 128, 255]}
#: What comes of a conversation (see ``js/conversation.js``), whatever the stack and the transport.
EXPECTED: dict[str, Any] = {
    "refused": ["who are you", {"try": ["again", 1]}],
    "auth": {"token": "right", "nested": [1, {"deep": True}]},
    "echoed": [True] * 11,
    "several": [1, BYTES, "three"],
    "asked": [{"about": BYTES}, "and", BYTES],
    "large": [True] * 10,
    "modified": sorted(["compressedcomp", "not compressed", "volatile"]),
    "told": {"mine": [BYTES], "other": ["to the other"]},
    "whoami": "Ada",
    "shouted": [BYTES],
    "chat": "io client disconnect",
    "after": "still here",
    "unknown": True,
    "dismissed": "io server disconnect",
    "left": "io client disconnect",
}


@pytest.mark.parametrize(
    ("stack", "transports"),
    combinations(
        STACKS,
        [UPGRADE, WEBSOCKET, POLLING],
        [(GTHREAD, UPGRADE), (GTHREAD, WEBSOCKET), (GTHREAD, POLLING), (GEVENT, UPGRADE)],
    ),
)
def test_a_conversation(tmp_path: Path, stack: Stack, transports: list[str]) -> None:
    """Refusals, acknowledgements and calls, binary, sizes, modifiers, rooms, namespaces, and both ways to leave."""
    with serve(tmp_path, stack) as service:
        descriptors = []
        for client in ("socket.io-client", "socket.io-client-4.5"):
            report = talk(client, service.url, transports)
            assert report == {**EXPECTED, "transport": transports[-1]}
            descriptors.append(settled(service))
        assert descriptors[1] <= descriptors[0]  # some are opened once, for the first client
        assert service.left_once()
        if not stack[4]:
            reasons = [reason for _, reason in service.journal("disconnect")]
            assert sorted(reasons) == ["client disconnect"] * 2 + ["server disconnect"] * 2
        assert len(service.journal("callback")) == 2
        assert len(service.journal("chat disconnect")) == 2
        assert service.server.ask()["websockets"] == (0 if transports == ["polling"] else 6)
        assert "Traceback" not in service.server.log


def settled(service: Service) -> int:
    """The number of the service's descriptors once it has no session any more."""
    seen: list[int] = []

    def at_rest() -> bool:
        facts = service.server.ask()
        seen.append(facts["fds"])
        return not facts["sessions"] and len(seen) > 2 and len(set(seen[-3:])) == 1

    assert wait_until(at_rest, 10, every=0.05), (seen, service.server.ask())
    return seen[-1]


@pytest.mark.parametrize(
    ("stack", "how"), combinations(STACKS, WAYS, [(GTHREAD, "KILL"), (GTHREAD, "HUP"), (GEVENT, "TERM")])
)
def test_a_client_comes_back_when_its_worker_is_gone(tmp_path: Path, stack: Stack, how: str) -> None:
    """It sees the transport close, finds the next worker, and its events go on."""
    limit = ["--max-requests", "20"] if how == "max_requests" else []
    with serve(tmp_path, stack, *limit, TICKING="1") as service:
        with staying(service.url, ["websocket"]) as client:
            (first,) = client.heard("here")
            ends(service, how, first)
            client.wait(lambda it: len(it.heard("here")) == 2)
            second = client.heard("here")[1]
            assert second != first
            came = len(client.heard("tick"))
            client.wait(lambda it: len(it.heard("tick")) > came + 5)
            assert client.heard("disconnect") == ["transport close"]
        killed = 1 if how == "KILL" else 0
        assert wait_until(lambda: service.left_once(killed=killed), 10), service.journal()
        assert "Traceback" not in service.server.log


@pytest.mark.slow
@pytest.mark.parametrize("how", ["KILL", "HUP"])
@pytest.mark.parametrize("transports", [UPGRADE, POLLING], ids="+".join)
def test_a_client_that_polls_first_comes_back_as_well(
    tmp_path: Path, transports: list[str], how: str
) -> None:
    """The older client; a poll is not answered, or by a worker that does not know its session."""
    with serve(tmp_path, GTHREAD, TICKING="1") as service:
        with staying(service.url, transports, "socket.io-client-4.5") as client:
            (first,) = client.heard("here")
            ends(service, how, first)
            client.wait(lambda it: len(it.heard("here")) == 2)
            came = len(client.heard("tick"))
            client.wait(lambda it: len(it.heard("tick")) > came + 5)
            assert len(client.heard("disconnect")) == 1
        assert "Traceback" not in service.server.log
