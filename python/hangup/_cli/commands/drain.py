"""``hangup drain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import click

from .. import FOUND
from ..output import Output, output_option, refuse
from ..target import the_master

if TYPE_CHECKING:
    from ..._drain import Progress


@click.command()
@click.option("--pid", type=click.IntRange(1), help="gunicorn's master, for all its workers, or one of them")
@click.option("--within", type=click.FloatRange(0, 86_400), default=60.0, show_default=True, help="seconds")
@click.option("--code", type=int, default=1012, show_default=True, help="of the close frames")
@click.option("--reason", default="", help="of the close frames")
@click.option("--jitter", type=click.FloatRange(0, 86_400), default=10.0, show_default=True, help="seconds")
@click.option("--spare/--no-spare", default=True, help="start a second worker first where there is only one")
@output_option
def command(
    pid: Optional[int], within: float, code: int, reason: str, jitter: float, spare: bool, output: Output
) -> None:
    """Empty a worker, or all of them one after the other, while gunicorn starts others in their place.

    A worker that is drained accepts nobody, lets its requests end, closes its WebSockets in the course of
    --jitter seconds, and leaves. Status 0: all left within --within seconds each.
    """
    from ..._control import ControlError
    from ..._control.closing import checked_code, checked_reason
    from ..._drain import drain
    from ..._top import processes

    try:
        checked_code(code), checked_reason(reason)
    except ValueError as wrong:
        refuse(str(wrong))
    target = the_master(pid)
    workers = processes.workers_of(target)
    master = target if workers else processes.master_of(target)
    seen: dict[int, str] = {}
    show = _Shown(output)
    try:
        for progress in drain(
            master, workers or [target], within, spare, code=code, reason=reason, jitter=jitter
        ):
            seen[progress.pid] = progress.phase
            show(progress)
    except ControlError as error:
        show.end()
        click.echo(f"hangup: {error}", err=True)
        raise SystemExit(FOUND) from None
    show.end()
    if len(seen) < len(workers or [target]) or not set(seen.values()) <= {"left", "replaced"}:
        raise SystemExit(FOUND)


#: Seconds from one figure to the next.
EVERY = 1.0


class _Shown:
    """``812 → 604 → … → 0``, on one line for each worker, or as JSON lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pid = 0
        self._last: Optional[int] = None
        self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        is_other = progress.pid != self._pid
        is_due = progress.clients != self._last and progress.seconds >= self._said + EVERY
        is_news = is_other or progress.phase != "drains" or is_due
        if is_news:
            self._said = progress.seconds
        if self._output.is_json:
            if is_news:
                self._output.document(progress._asdict())
        elif is_news:
            self._say(progress, is_other)
        self._pid = progress.pid
        if is_news and (is_other or progress.clients is not None):
            self._last = progress.clients

    def _say(self, progress: Progress, is_other: bool) -> None:
        if is_other:
            self.end()
            click.echo(f"worker {progress.pid}: ", nl=False)
        count = progress.clients
        if progress.phase in ("drains", "left") and count is not None and (is_other or count != self._last):
            click.echo(f"{'' if is_other or self._last is None else ' → '}{count}", nl=False)
        if progress.phase != "drains":
            click.echo(_WORDS[progress.phase].format(seconds=progress.seconds, by=progress.by), nl=False)

    def end(self) -> None:
        """Ends the line."""
        if self._pid and not self._output.is_json:
            click.echo()


_WORDS = {
    "left": "; left after {seconds:.1f} s",
    "late": "; not gone after {seconds:.1f} s",
    "replaced": "; replaced by {by}",
    "alone": "; nobody took its place",
}
