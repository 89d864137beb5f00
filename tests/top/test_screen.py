"""The screen of ``hangup top``, driven by its keys."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from control_service import STACKS, Service, serve
from hangup._control.connections import address as written
from hangup._top import reading
from hangup._top.reading import Reading, Watcher, Worker
from raw_websocket import begin_session, close_code

pytest.importorskip("textual")
from hangup._top.app import Confirm, TopApp
from hangup._top.rows import Rows


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serve(tmp_path_factory.mktemp("service"), STACKS[0]) as service:
        yield service


def drive(
    watcher: Any,
    script: Callable[[TopApp, Any], Coroutine[Any, Any, None]],
    size: tuple[int, int] = (160, 40),
) -> None:
    """Runs a script of keys on a screen."""

    async def run() -> None:
        app = TopApp(watcher, 0.2, "age", "")
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.reading is not None)
            await script(app, pilot)

    asyncio.run(run())


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await pilot.pause(0.05)


def seen(app: TopApp) -> str:
    rows = app.query_one(Rows)
    return "\n".join(rows.render_line(y).text for y in range(rows.size.height))


def test_a_client_is_closed_when_it_is_confirmed(service: Service) -> None:
    """And not before."""
    watcher = Watcher(service.gunicorn.process.pid)
    with begin_session(service.port) as first, begin_session(service.port) as second:

        async def script(app: TopApp, pilot: Any) -> None:
            rows = app.query_one(Rows)
            rows.text = "websocket"
            await until(pilot, lambda: len(rows.shown) == 2)
            await pilot.press("down", "c")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("n", "c")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            assert len(rows.shown) == 2
            await pilot.press("y")
            await until(pilot, lambda: len(rows.shown) == 1)

        drive(watcher, script)
        assert close_code(second) == 1000  # by age, it is below
        service.ask(
            "close", sids=[row["sid"] for row in service.ask("snapshot")["connections"] if row["sid"]]
        )
        close_code(first)


def test_rows_are_filtered_and_sorted_by_keys(service: Service) -> None:
    """What is typed is looked for in all that is shown."""
    with contextlib.ExitStack() as stack:
        peers = [written(stack.enter_context(begin_session(service.port)).getsockname()) for _ in range(3)]

        async def script(app: TopApp, pilot: Any) -> None:
            rows = app.query_one(Rows)
            await pilot.press("slash", *peers[1], "enter")
            await until(pilot, lambda: [row["peer"] for row in rows.shown] == [peers[1]])
            assert rows.has_focus
            await pilot.press("s")
            assert (rows.sort, rows.is_reversed) == ("rtt", False)
            await pilot.press("r", "end", "home", "pagedown", "left", "right")
            assert "RTT▴" in seen(app)

        drive(Watcher(service.gunicorn.process.pid), script)


def test_a_small_terminal_shows_what_matters(service: Service) -> None:
    """80 columns have the sid, the transport, the queue and the state."""

    async def script(app: TopApp, pilot: Any) -> None:
        await until(pilot, lambda: "TRANSPORT" in seen(app))
        head = seen(app).splitlines()[0]
        assert all(name in head for name in ("WORKER", "SID", "AGE", "QUEUE", "UNACKED", "STATE"))

    drive(Watcher(service.gunicorn.process.pid), script, (80, 24))


@pytest.mark.slow
def test_a_worker_is_drained_when_it_is_confirmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And another one is seen in its place."""
    with serve(tmp_path_factory.mktemp("service"), STACKS[0]) as service:

        async def script(app: TopApp, pilot: Any) -> None:
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await until(
                pilot,
                lambda: bool(app.reading.workers) and app.reading.workers[0].process.pid not in (
                    service.pid, service.gunicorn.process.pid
                ),
            )  # fmt: skip

        drive(Watcher(service.gunicorn.process.pid), script)


class Many:
    """A watcher of ten thousand connections that are not there."""

    def __init__(self, pid: int) -> None:
        look = Watcher(pid).look()
        row = {
            **reading._row(pid, reading.sockets.Tcp(1, "established", "", "", 0, 0, 0.01, 0, 0, 1.0, 0, 0)),
            "rate_in": 0.0, "rate_out": 0.0, "age": 1.0,
        }  # fmt: skip
        rows = [
            {**row, "fd": number, "peer": f"10.0.{number // 250}.{number % 250}:1"}
            for number in range(10_000)
        ]
        worker = Worker(look.master, "told", "", None, rows)
        self._reading: Reading = look._replace(workers=[worker], totals=reading._totals([worker]))

    def look(self) -> Reading:
        return self._reading


def test_ten_thousand_connections_are_moved_through_at_once(service: Service) -> None:
    """Only the lines that are seen are made."""

    async def script(app: TopApp, pilot: Any) -> None:
        rows = app.query_one(Rows)
        assert len(rows.shown) == 10_000
        began = time.process_time()
        for _ in range(20):
            await pilot.press("pagedown")
        assert time.process_time() - began < 5
        await pilot.press("end")
        assert "10.0.39.249:1" in seen(app)

    drive(Many(service.pid), script)


def test_it_ends_with_the_process_that_it_shows() -> None:
    """With status 1."""

    class Gone:
        def look(self) -> Reading:
            raise ProcessLookupError("there is no process 7")

    app = TopApp(Gone(), 0.2, "age", "")

    async def run() -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.return_code is not None)

    asyncio.run(run())
    assert app.return_code == 1
