"""A symptom that does not flap."""

from __future__ import annotations

import collections


class Gauge:
    """Raised by n bad looks of the last m; cleared by several good ones in a row.

    Between bad and good there may be a third kind, which changes nothing: that is the band between two thresholds.
    """

    def __init__(self, raise_after: int, raise_of: int, clear_after: int) -> None:
        self._raise_after = raise_after
        self._clear_after = clear_after
        self._bad: collections.deque[bool] = collections.deque(maxlen=raise_of)
        self._good_in_a_row = 0
        self.is_raised = False

    def feed(self, *, is_bad: bool, is_good: bool) -> None:
        """Takes the next look in."""
        if self.is_raised:
            self._good_in_a_row = self._good_in_a_row + 1 if is_good else 0
            if self._good_in_a_row >= self._clear_after:
                self.is_raised = False
                self._bad.clear()
            return
        self._bad.append(is_bad)
        if sum(self._bad) >= self._raise_after:
            self.is_raised = True
            self._good_in_a_row = 0
