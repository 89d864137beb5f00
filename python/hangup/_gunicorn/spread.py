"""WebSockets that end with their worker, each at a moment of its own: their clients do not all come back at once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any

#: Seconds over which their ends are spread.
SPREAD = 3.0


class Moments:
    """When each of them ends.

    Args:
        code: of the close frames.
    """

    def __init__(self, code: int) -> None:
        self._code = code
        self._latest = time.monotonic() + SPREAD
        self._due: dict[int, float] = {}

    def close_those_due(self, natives: Iterable[Any]) -> bool:
        """Of those that there are now. Whether there are others."""
        now, waits = time.monotonic(), False
        for native in natives:
            moment = self._due.setdefault(native.serial, random.uniform(now, max(now, self._latest)))
            if native.ending is None and moment > now:
                waits = True
            elif native.ending is None:
                native.close(self._code)  # once more does nothing
        return waits
