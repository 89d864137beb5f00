"""Synchronous streams under ASGI by themselves: an event loop, a thread, and no server."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hangup._client import AsgiClient

pytest.importorskip("django")

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from hangup.django import pieces

MANY = 5_000


async def never(_message: Any = None) -> Any:
    """What a server says to whoever asks for the end of a request that goes on."""
    await asyncio.get_running_loop().create_future()


def run(scenario: Callable[[AsgiClient], Awaitable[None]]) -> None:
    """As Django does: each request has a thread of its own."""

    async def request() -> None:
        async with ThreadSensitiveContext():
            await scenario(AsgiClient(never, never))

    asyncio.run(asyncio.wait_for(request(), 30))


def test_small_pieces_do_not_change_threads_one_by_one() -> None:
    """Five thousand take less than five hundred changes."""

    async def scenario(client: AsgiClient) -> None:
        began = time.perf_counter()
        for _ in range(MANY // 10):
            await sync_to_async(int)()
        hops = time.perf_counter() - began
        began = time.perf_counter()
        got = [piece async for piece in pieces.one_by_one(iter([b"piece"] * MANY), client)]
        assert got == [b"piece"] * MANY
        assert time.perf_counter() - began < hops

    run(scenario)


def test_each_piece_is_there_when_it_is_made() -> None:
    """The next one is not made before somebody has seen it."""

    async def scenario(client: AsgiClient) -> None:
        seen = threading.Semaphore(0)

        def made() -> Iterator[bytes]:
            for number in range(20):
                yield b"%d" % number
                assert seen.acquire(timeout=10), "nobody got it"

        got = []
        async for piece in pieces.one_by_one(made(), client):
            got.append(int(piece))
            seen.release()
        assert got == [*range(20)]

    run(scenario)


def test_who_takes_nothing_has_no_more_made() -> None:
    """By bytes, and by pieces, which are objects whatever their size."""

    async def scenario(client: AsgiClient) -> None:
        for size, most in ((1, 257), (10_000, 8), (1_000_000, 2)):
            made = []

            def endless(size: int = size, made: list[None] = made) -> Iterator[bytes]:
                while True:
                    made.append(None)
                    yield bytes(size)

            generator = endless()
            taking = pieces.one_by_one(generator, client)
            assert await taking.__anext__() == bytes(size)
            await sync_to_async(int)()  # the thread has gone as far as it may
            assert len(made) <= most
            await taking.aclose()
            await sync_to_async(generator.close)()

    run(scenario)


def test_all_pieces_are_made_in_one_thread_and_context() -> None:
    """An error comes behind what was made before it."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def scenario(client: AsgiClient) -> None:
        variable.set(0)
        threads = {await sync_to_async(threading.get_ident)()}
        got = []

        def made() -> Iterator[bytes]:
            for _ in range(1_000):
                threads.add(threading.get_ident())
                variable.set(variable.get() + 1)
                yield b"%d" % variable.get()
            raise SystemExit("of the application")

        async def taken() -> None:
            async for piece in pieces.one_by_one(made(), client):
                got.append(int(piece))

        with pytest.raises(SystemExit, match="of the application"):
            await taken()
        assert got == [*range(1, 1_001)]
        assert len(threads) == 1
        assert variable.get() == 0

    run(scenario)


def test_a_stream_that_is_stopped_makes_one_more_piece_at_most() -> None:
    """Stopping does not wait for it, closing does."""

    async def scenario(client: AsgiClient) -> None:
        made, is_closed = [], threading.Event()
        goes_on = threading.Event()

        def waiting() -> Iterator[bytes]:
            try:
                while True:
                    made.append(None)
                    yield b"x"
                    assert goes_on.wait(10)
            finally:
                is_closed.set()

        generator = waiting()
        taking = pieces.one_by_one(generator, client)
        await taking.__anext__()
        await taking.aclose()
        assert len(made) == 1
        closing = asyncio.ensure_future(sync_to_async(generator.close)())
        goes_on.set()
        await closing
        assert len(made) <= 2
        assert is_closed.is_set()

    run(scenario)


def test_a_client_that_leaves_before_its_thread_is_free_ends_its_stream() -> None:
    """What it was to have is not made."""

    async def scenario(client: AsgiClient) -> None:
        is_free = threading.Event()
        busy = asyncio.ensure_future(sync_to_async(is_free.wait)(10))
        await asyncio.sleep(0)
        taking = pieces.one_by_one(iter([b"x"]), client)
        coming = asyncio.ensure_future(taking.__anext__())
        await asyncio.sleep(0)
        client._leave()
        is_free.set()
        with pytest.raises(StopAsyncIteration):
            await coming
        await busy

    run(scenario)


def test_a_stream_ends_with_its_client() -> None:
    """Nothing is made for who left."""

    async def scenario(client: AsgiClient) -> None:
        made = []

        def endless() -> Iterator[bytes]:
            while True:
                made.append(None)
                yield bytes(100_000)

        taking = pieces.one_by_one(endless(), client)
        await taking.__anext__()
        client._leave()
        assert [piece async for piece in taking] == []
        assert len(made) == 1

    run(scenario)
