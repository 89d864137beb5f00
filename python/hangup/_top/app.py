"""``hangup top`` on a terminal."""

from __future__ import annotations

import collections
from typing import Any, Optional

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Sparkline, Static

from .._control import ControlError, ask
from .._logs.text import escape
from .columns import BY_NAME, sid, size
from .reading import Reading, Watcher
from .rows import Rows
from .table import of_worker, summary

#: Looks whose rates are in the sparklines.
PAST = 60
#: Workers that have a line; of more only their number is said.
LINES = 4
#: Seconds that a worker has for what it is asked to do.
PATIENCE = 10.0


class Confirm(ModalScreen[bool]):
    """A question, before something is ended."""

    CSS = """
    Confirm { align: center middle; }
    Confirm > Static { width: auto; max-width: 90%; padding: 1 2; border: round $warning; background: $surface; }
    """
    BINDINGS = [  # noqa: RUF012  (textual's)
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self._question}\n\ny: yes   n: no"))

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class TopApp(App[None]):
    """The screen.

    Args:
        watcher: looks at the processes.
        interval: seconds between two looks.
        sort: the column that rows are sorted by at first.
        text: only rows that contain it are shown.
    """

    CSS = """
    #summary, #workers { height: auto; padding: 0 1; }
    #rates { height: 1; padding: 0 1; }
    #rates Static { width: 6; }
    Sparkline { width: 1fr; height: 1; margin-right: 2; }
    Rows { height: 1fr; scrollbar-size: 1 1; }
    Input { display: none; height: 3; }
    Input.asked { display: block; }
    """
    BINDINGS = [  # noqa: RUF012  (textual's)
        Binding("q", "quit", "quit"),
        Binding("s", "sort", "sort"),
        Binding("r", "reverse", "reverse"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("c", "close", "close"),
        Binding("d", "drain", "drain"),
        Binding("escape", "leave_filter", "", show=False),
    ]
    TITLE = "hangup top"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, watcher: Watcher, interval: float, sort: str, text: str) -> None:
        super().__init__()
        self._watcher = watcher
        self._interval = interval
        self._rows = Rows(sort, text)
        self._past: dict[str, collections.deque[float]] = {
            name: collections.deque([0.0] * PAST, maxlen=PAST) for name in ("in", "out")
        }
        #: The last look.
        self.reading: Optional[Reading] = None

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        with Horizontal(id="rates"):
            for name in self._past:
                yield Static(f"{name}/s")
                yield Sparkline(list(self._past[name]), id=f"rate-{name}")
        yield Static(id="workers")
        yield self._rows
        yield Input(value=self._rows.text, placeholder="only rows with this text")
        yield Footer()

    def on_mount(self) -> None:
        self._rows.focus()
        self.look()
        self.set_interval(self._interval, self.look)

    @work(thread=True, exclusive=True, group="look")
    def look(self) -> None:
        """Asks, beside the screen."""
        try:
            reading = self._watcher.look()
        except ProcessLookupError as gone:
            self.call_from_thread(self.exit, message=f"hangup: {gone}", return_code=1)
            return
        self.call_from_thread(self.show, reading)

    def show(self, reading: Reading) -> None:
        """Puts a look on the screen."""
        self.reading = reading
        self.query_one("#summary", Static).update(Text("\n".join(summary(reading))))
        lines = [of_worker(worker) for worker in reading.workers[:LINES]]
        if len(reading.workers) > LINES:
            lines.append(f"… and {len(reading.workers) - LINES} more workers")
        self.query_one("#workers", Static).update(Text("\n".join(lines)))
        for name, rate in (("in", "messages_in"), ("out", "frames_out")):
            self._past[name].append(reading.rates.get(rate, 0.0))
            self.query_one(f"#rate-{name}", Sparkline).data = list(self._past[name])
        self._rows.show(reading.connections)

    def action_sort(self) -> None:
        """By the next column."""
        names = list(BY_NAME)
        self._rows.sort = names[(names.index(self._rows.sort) + 1) % len(names)]
        self._rows.is_reversed = False
        self._rows.put_in_order()

    def action_reverse(self) -> None:
        self._rows.is_reversed = not self._rows.is_reversed
        self._rows.put_in_order()

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.add_class("asked")
        field.focus()

    def action_leave_filter(self) -> None:
        self.query_one(Input).remove_class("asked")
        self._rows.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._rows.text = event.value
        self._rows.put_in_order()

    def on_input_submitted(self) -> None:
        self.action_leave_filter()

    def action_close(self) -> None:
        row = self._rows.chosen
        if row is None:
            return
        name = escape(sid(row)) if row["sid"] else f"descriptor {row['fd']}"
        if row["number"] is None and row["sid"] is None:
            self.notify("its worker is not hangup's to ask", severity="warning")
            return
        question = f"Close {name} of worker {row['worker']}, {escape(row['peer'] or 'no address')}?"
        wanted = {"sids": [row["sid"]]} if row["number"] is None else {"numbers": [row["number"]]}
        self.push_screen(Confirm(question), lambda yes: self._ask(yes, row["worker"], "close", wanted))

    def action_drain(self) -> None:
        row = self._rows.chosen
        workers = self.reading.workers if self.reading is not None else []
        pid = row["worker"] if row is not None else workers[0].process.pid if workers else None
        if pid is None:
            return
        count = sum(one["worker"] == pid for one in self._rows.shown)
        question = f"Drain worker {pid} within 60 s? It has {count} of these connections; gunicorn starts another one."
        self.push_screen(
            Confirm(question), lambda yes: self._ask(yes, pid, "drain", {"within": 60, "jitter": 10})
        )

    def _ask(self, yes: Optional[bool], pid: int, verb: str, arguments: dict[str, Any]) -> None:
        if yes:
            self.order(pid, verb, arguments)

    @work(thread=True)
    def order(self, pid: int, verb: str, arguments: dict[str, Any]) -> None:
        """Has a worker do something, and says what came of it."""
        try:
            done = ask(pid, verb, timeout=PATIENCE, **arguments)
        except ControlError as error:
            self.call_from_thread(self.notify, escape(str(error)), severity="error", markup=False)
            return
        said = f"worker {pid} is being drained" if verb == "drain" else _closed(done)
        self.call_from_thread(self.notify, said, markup=False)
        self.call_from_thread(self.look)


def _closed(done: dict[str, Any]) -> str:
    rows = done["closed"]
    if not rows:
        return "it was gone already"
    return f"{rows[0]['how']}, after {size(rows[0]['received'])}B in and {size(rows[0]['sent'])}B out"
