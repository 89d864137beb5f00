"""What a Socket.IO client costs its worker from its connection to its session, and leaves behind there."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from socketio_app import APP
from test_websocket import IDS, STACKS, open_websocket, serve

GTHREADS = [
    ("27.0.1", "gthread", "threading", "", False),
    ("25.3.0", "gthread", "threading", "", False),
    ("21.2.0", "gthread", "threading", "", False),
]
#: ``/facts`` with the number of gunicorn's requests that somebody has.
COUNTING = "import gc\n" + APP.replace(
    '"pid": os.getpid(),',
    '"pid": os.getpid(), "kept": sum("gunicorn.http.message.Request" in str(type(o)) for o in gc.get_objects()),',
)


@pytest.mark.parametrize("stack", GTHREADS, ids=[f"gunicorn-{stack[0]}" for stack in GTHREADS])
def test_a_websocket_leaves_its_place_at_once(tmp_path: Path, stack: Any) -> None:
    """One that left the worker is none of its ``worker_connections``, and nobody waits for the main thread."""
    with serve(tmp_path, stack, "--worker-connections", "2", "--threads", "2") as server:
        began = time.monotonic()
        with ThreadPoolExecutor(10) as clients:  # more at once than there is room for
            list(clients.map(lambda _: open_websocket(server), range(40)))
        assert time.monotonic() - began < 5  # the main loop looks around once in a second
        assert server.ask()["sessions"] == 40


@pytest.mark.parametrize("stack", GTHREADS, ids=[f"gunicorn-{stack[0]}" for stack in GTHREADS])
def test_a_worker_that_leaves_waits_for_nobody_who_left_it(tmp_path: Path, stack: Any) -> None:
    """``nr_conns`` is 0 when its clients are WebSockets: TERM ends it well before the graceful timeout."""
    with serve(tmp_path, stack, "--graceful-timeout", "25") as server:
        clients = [open_websocket(server) for _ in range(5)]
        began = time.monotonic()
        server.process.terminate()
        for client in clients:
            while client.connected and client.recv_data()[0] != 8:
                pass
            client.close()
        assert server.process.wait(15) == 0
        assert time.monotonic() - began < 10, server.log


@pytest.mark.parametrize("stack", STACKS[::2], ids=IDS[::2])
def test_a_client_keeps_nothing_of_its_request(tmp_path: Path, stack: Any) -> None:
    """gunicorn's request, response and buffers go when the WebSocket leaves, although its environ stays."""
    with serve(tmp_path, stack, app=COUNTING) as server:
        before = server.ask()["kept"]
        for _ in range(10):
            open_websocket(server)
        assert server.wait_until(lambda: server.ask()["kept"] <= before + 2, 10), server.ask()


@pytest.mark.parametrize("stack", STACKS[:1], ids=IDS[:1])
def test_the_table_of_descriptors_is_wide_from_the_start(tmp_path: Path, stack: Any) -> None:
    """It does not grow while clients come, which would stop all threads each time that it doubles."""
    with serve(tmp_path, stack) as server:
        status = Path(f"/proc/{server.ask()['pid']}/status").read_text()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert int(status.partition("FDSize:")[2].split()[0]) >= min(limit, 16 * 1024) & ~63
