"""The table of connections on a terminal. Only the lines that are seen are made, however many there are."""

from __future__ import annotations

from typing import Any, Optional

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .columns import COLUMNS, cell, fitted, matches, ordered
from .reading import is_zombie

_HEAD = Style(bold=True, reverse=True)
_CURSOR = Style(reverse=True)
_ZOMBIE = Style(color="red")
_CLOSING = Style(dim=True)
_QUEUED = Style(color="yellow")
_PLAIN = Style()
_WIDTH = sum(column.width + 1 for column in COLUMNS) - 1


class Rows(ScrollView, can_focus=True):
    """Connections, in an order, with one that is chosen."""

    BINDINGS = [  # noqa: RUF012  (textual's)
        Binding("up", "move(-1)", "", show=False),
        Binding("down", "move(1)", "", show=False),
        Binding("left", "aside(-10)", "", show=False),
        Binding("right", "aside(10)", "", show=False),
        Binding("pageup", "turn(-1)", "", show=False),
        Binding("pagedown", "turn(1)", "", show=False),
        Binding("home", "move(-1000000000)", "", show=False),
        Binding("end", "move(1000000000)", "", show=False),
    ]

    def __init__(self, sort: str, text: str) -> None:
        super().__init__()
        self.sort = sort
        self.is_reversed = False
        self.text = text
        self._all: list[dict[str, Any]] = []
        self._shown: list[dict[str, Any]] = []
        self._cursor = 0

    @property
    def chosen(self) -> Optional[dict[str, Any]]:
        """The row under the cursor."""
        return self._shown[self._cursor] if self._cursor < len(self._shown) else None

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Those that match, in their order."""
        return self._shown

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Replaces the rows; the cursor stays on its row as long as it is there."""
        self._all = rows
        self.put_in_order()

    def put_in_order(self) -> None:
        """Sorts and filters anew."""
        before = self.chosen
        rows = [row for row in self._all if not self.text or matches(row, self.text)]
        self._shown = ordered(rows, self.sort, self.is_reversed)
        if before is not None:
            key = _key(before)
            again = (place for place, row in enumerate(self._shown) if _key(row) == key)
            self._cursor = next(again, self._cursor)
        self._cursor = max(min(self._cursor, len(self._shown) - 1), 0)
        self.virtual_size = Size(_WIDTH, len(self._shown) + 1)
        self.refresh()

    def action_move(self, by: int) -> None:
        self._cursor = max(min(self._cursor + by, len(self._shown) - 1), 0)
        top, height = self.scroll_offset.y, max(self.size.height - 1, 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False)
        self.refresh()

    def action_aside(self, by: int) -> None:
        self.scroll_to(x=self.scroll_offset.x + by, animate=False)

    def action_turn(self, pages: int) -> None:
        self.action_move(pages * max(self.size.height - 1, 1))

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width = self.size.width
        if y == 0:
            return _strip(self._head(), _HEAD, left, width)
        place = top + y - 1
        if place >= len(self._shown):
            return Strip.blank(width)
        row = self._shown[place]
        line = " ".join(cell(column, row) for column in COLUMNS)
        style = _style(row)
        return _strip(line, style + _CURSOR if place == self._cursor else style, left, width)

    def _head(self) -> str:
        mark = "▴" if self.is_reversed else "▾"
        names = (column.name.upper() + (mark if column.name == self.sort else "") for column in COLUMNS)
        return " ".join(fitted(name, column) for name, column in zip(names, COLUMNS))


def _key(row: dict[str, Any]) -> Any:
    return row["worker"], row["number"] or row["sid"] or (row["fd"], row["peer"])


def _style(row: dict[str, Any]) -> Style:
    if is_zombie(row):
        return _ZOMBIE
    if row["closing"]:
        return _CLOSING
    return _QUEUED if row["queued"] else _PLAIN


def _strip(text: str, style: Style, left: int, width: int) -> Strip:
    return Strip([Segment(text.ljust(left + width), style)]).crop(left, left + width)
