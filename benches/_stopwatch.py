"""How long a call takes, and for how much of it the interpreter lock is held. Linux only.

How
    A second thread counts, which needs the lock and nothing else. While it neither runs nor waits for a core it
    waits for the lock: the kernel's books of it (``schedstat``) are read before and after the call, by a function of
    libc's that does not let go of the lock. So it does not matter that caller, engine and counter share a core, nor
    that the caller has to wait for the lock whenever it has let go of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from typing import Optional

_pread = ctypes.PyDLL(None).pread  # PyDLL: the lock is kept


class Stopwatch:
    """Of one process. Calls on several threads at once are counted as each of them."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, Optional[float]]] = []
        self._books: Optional[int] = None
        self._counted = 0

    @contextlib.contextmanager
    def timing(self) -> Iterator[None]:
        """Around the call."""
        busy, began = self._counter_not_waiting(), time.perf_counter_ns()
        yield
        took = time.perf_counter_ns() - began
        held = None if busy is None else took - ((self._counter_not_waiting() or 0) - busy)
        self._taken.append((took / 1e9, None if held is None else max(held, 0) / 1e9))

    def take(self) -> list[tuple[float, Optional[float]]]:
        """Seconds of each call, and those of the lock if somebody counts. Forgets them."""
        taken, self._taken = self._taken, []
        return taken

    def count(self) -> None:
        """Has a thread count, until the process ends."""
        started = threading.Event()
        thread = threading.Thread(target=self._count, args=(started,), daemon=True)
        thread.start()
        started.wait()
        self._books = os.open(f"/proc/self/task/{thread.native_id}/schedstat", os.O_RDONLY)

    def _count(self, started: threading.Event) -> None:
        started.set()
        while True:
            self._counted += 1

    def _counter_not_waiting(self) -> Optional[int]:
        """Nanoseconds for which the counter has run, or waited for a core."""
        if self._books is None:
            return None
        books = ctypes.create_string_buffer(96)
        _pread(self._books, books, len(books) - 1, ctypes.c_long(0))
        running, runnable, _ = books.value.split()
        return int(running) + int(runnable)
