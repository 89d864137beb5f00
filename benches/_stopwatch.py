"""How long a call takes, and for how much of it the interpreter lock is held. Linux only.

How
    A second thread counts meanwhile, which needs the lock and nothing else. While it neither runs nor waits for its
    core it waits for the lock: the kernel's books of it (``schedstat``) are read before and after the call, by a
    function of libc's that does not let go of the lock. So it does not matter that the caller has to wait for the lock
    whenever it has let go of it. Until the counter has woken up then, the lock seems to be held: on a virtual machine
    for some 50 us. As much is taken off once, measured with a hash, which lets go of the lock and does nothing else.

Not promised
    Anything if the counter shares its core with somebody who does not give way: while it is queued there, that is not
    in the books yet. Calls that let go of the lock more than once seem to hold it for longer than they do.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

#: For the counter, from being woken to waiting for the lock. Shorter than the interpreter's switch interval.
_WOKEN_NS = 1_000_000
_HASHES = 30
_HASHED = bytes(1_000_000)

_pread = ctypes.PyDLL(None).pread  # PyDLL: the lock is kept


class Time(NamedTuple):
    """Seconds of a call, and those for which the lock was held, if somebody counted."""

    took: float
    held: Optional[float]


class Stopwatch:
    """Of one process, and of one call at a time."""

    def __init__(self) -> None:
        self._taken: list[Time] = []
        self._books: Optional[int] = None
        self._counting = threading.Event()
        self._waking = 0.0

    @contextlib.contextmanager
    def timing(self) -> Iterator[None]:
        """Around the call."""
        if self._books is None:
            began = time.perf_counter_ns()
            yield
            self._taken.append(Time((time.perf_counter_ns() - began) / 1e9, None))
            return
        self._counting.set()
        woken = time.perf_counter_ns() + _WOKEN_NS
        while time.perf_counter_ns() < woken:
            pass
        idle, began = self._booked(), time.perf_counter_ns()
        yield
        took = time.perf_counter_ns() - began
        held = took - (self._booked() - idle)
        self._counting.clear()
        self._taken.append(Time(took / 1e9, max(held / 1e9 - self._waking, 0.0)))

    def take(self) -> list[Time]:
        """What was measured, and is forgotten."""
        taken, self._taken = self._taken, []
        return taken

    def count(self, core: int) -> None:
        """From now on a thread counts during each call, on ``core``."""
        thread = threading.Thread(target=self._count, daemon=True)
        thread.start()
        assert thread.native_id is not None
        os.sched_setaffinity(thread.native_id, {core})
        self._books = os.open(f"/proc/self/task/{thread.native_id}/schedstat", os.O_RDONLY)
        for _ in range(_HASHES):
            with self.timing():
                hashlib.sha256(_HASHED)
        self._waking = statistics.median(hashed.held or 0.0 for hashed in self.take())

    def _count(self) -> None:
        counted = 0
        while self._counting.wait():
            while self._counting.is_set():
                counted += 1

    def _booked(self) -> int:
        """Nanoseconds for which the counter has run, or waited for its core."""
        assert self._books is not None
        books = ctypes.create_string_buffer(96)
        _pread(self._books, books, len(books) - 1, ctypes.c_long(0))
        running, runnable, _ = books.value.split()
        return int(running) + int(runnable)
