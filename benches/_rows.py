"""What a row of the table is, and how runs are paired and judged."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass(frozen=True)
class Bar:
    """A limit from the project's requirements.

    Attributes:
        limit: in the unit of the row's figure.
        at_least: True if figures below the limit miss it, False if those above do.
        unit: shown behind the limit; "x" for ratios.
    """

    limit: float
    at_least: bool = False
    unit: str = "x"

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}"

    def met_by(self, figure: float) -> bool:
        """Whether ``figure`` is on the right side."""
        return figure >= self.limit if self.at_least else figure <= self.limit


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what is compared.
        unit: of ``stock`` and ``hangup``.
        stock: median, or None where there is nothing to compare with.
        hangup: median.
        figures: what is judged, one a pair: ratios, or differences.
        figure_unit: "x" for ratios.
        bar: None for a row that is there for information.
        note: what a reader has to know.
        runs: all runs as (stock, hangup), for the result file.
    """

    name: str
    unit: str
    stock: Optional[float]
    hangup: Optional[float]
    figures: tuple[float, ...]
    figure_unit: str = "x"
    bar: Optional[Bar] = None
    note: str = ""
    runs: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    @property
    def figure(self) -> Optional[float]:
        """The median of the figures; None for a row that was skipped."""
        return statistics.median(self.figures) if self.figures else None

    @property
    def spread(self) -> Optional[tuple[float, float]]:
        """The quartiles of the figures."""
        if len(self.figures) < 2:
            return None
        low, _, high = statistics.quantiles(self.figures, n=4, method="inclusive")
        return low, high

    @property
    def verdict(self) -> str:
        """ "met" or "missed", with "unclear" behind it if one quartile says otherwise; "skipped", or ""."""
        if self.figure is None:
            return "skipped"
        if self.bar is None:
            return ""
        verdict = "met" if self.bar.met_by(self.figure) else "missed"
        doubt = self.spread is not None and len({self.bar.met_by(edge) for edge in self.spread}) > 1
        return f"{verdict}, unclear" if doubt else verdict


def skipped(name: str, reason: str, bar: Optional[Bar] = None) -> Row:
    """A row that could not be measured, and why."""
    return Row(name, "", None, None, (), bar=bar, note=reason)


def paired(
    stock: Callable[[], float], hangup: Callable[[], float], pairs: int
) -> Iterator[tuple[float, float]]:
    """Runs both alternately, the order changing from pair to pair. Yields (stock, hangup)."""
    for number in range(pairs):
        if number % 2:
            second = hangup()
            yield stock(), second
        else:
            first = stock()
            yield first, hangup()


def compared(
    name: str, unit: str, runs: Iterable[tuple[float, float]], bar: Optional[Bar], note: str = ""
) -> Row:
    """A row whose figure is the median of hangup / stock over ``runs``."""
    runs = tuple(runs)
    stock, hangup = (statistics.median(side) for side in zip(*runs))
    ratios = tuple(ours / theirs for theirs, ours in runs)
    return Row(name, unit, stock, hangup, ratios, bar=bar, note=note, runs=runs)
