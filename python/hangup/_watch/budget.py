"""How often something may be done, and how soon again."""

from __future__ import annotations

from collections.abc import Iterable


class Budget:
    """At most ``most`` times in any ``window`` seconds."""

    def __init__(self, most: int, window: float, spent: Iterable[float] = ()) -> None:
        self.most = most
        self.window = window
        self._spent = sorted(spent)

    def spent(self, now: float) -> list[float]:
        """When it was spent, in the window before ``now``."""
        self._spent = [at for at in self._spent if now - self.window < at <= now]
        return list(self._spent)

    def wait(self, now: float) -> float:
        """Seconds until it may be spent again; infinite if it never may."""
        spent = self.spent(now)
        if len(spent) < self.most:
            return 0.0
        return spent[-self.most] + self.window - now if self.most else float("inf")

    def spend(self, now: float) -> None:
        """Once."""
        self._spent.append(now)


class Backoff:
    """Waits that double from one attempt to the next.

    Args:
        first, longest: seconds.
        attempts: so many were made already.
        last: when the last one was.
    """

    def __init__(self, first: float, longest: float, attempts: int = 0, last: float = 0.0) -> None:
        self._first = first
        self._longest = longest
        self.attempts = attempts
        self.last = last
        self._jitter = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next attempt."""
        if not self.attempts:
            return 0.0
        doubled = self._first * 2.0 ** min(self.attempts - 1, 30)
        return max(0.0, self.last + min(self._longest, doubled * (1 + self._jitter)) - now)

    def attempt(self, now: float, jitter: float) -> None:
        """One is made; the wait behind it is longer by the share ``jitter``."""
        self.attempts += 1
        self.last = now
        self._jitter = jitter

    def succeed(self) -> None:
        """The next attempt need not wait."""
        self.attempts = 0
