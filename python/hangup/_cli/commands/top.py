"""``hangup top``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Optional

import click

from .. import FOUND
from ..output import Output, output_option, refuse
from ..target import the_master

if TYPE_CHECKING:
    from ..._top.reading import Watcher


@click.command()
@click.option("--pid", type=click.IntRange(1), help="gunicorn's master, one of its workers, or any process")
@click.option("--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="seconds")
@click.option(
    "--times", type=click.IntRange(1), help="how many looks, as lines; without: until it is stopped"
)
@click.option(
    "--sort", default="queue", show_default=True, metavar="COLUMN", help="of the table, by its head"
)
@click.option("--filter", "text", default="", metavar="TEXT", help="only rows that contain it")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="rows as lines; 0: all")
@output_option
def command(
    pid: Optional[int],
    interval: float,
    times: Optional[int],
    sort: str,
    text: str,
    limit: int,
    output: Output,
) -> None:
    """Show the clients of a running gunicorn, live.

    On a terminal, with the extra "tui": q quits, s sorts, / filters, c closes a client, d drains its worker. Elsewhere,
    or with --times: lines, once per interval. Any process can be looked at that you may look at; those that
    hangup guards tell more.
    """
    from ..._top.columns import BY_NAME
    from ..._top.reading import Watcher

    if sort not in BY_NAME:
        raise click.BadParameter(f"{sort!r} is none of {', '.join(BY_NAME)}", param_hint="--sort")
    watcher = Watcher(the_master(pid))
    if times is None and not output.is_json and _is_screen(output) and _has_textual():
        from ..._top.app import TopApp

        app = TopApp(watcher, interval, sort, text)
        app.run()
        raise SystemExit(app.return_code or 0)
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
        _in_lines(watcher, interval, times, sort, text, limit, output)


def _is_screen(output: Output) -> bool:
    import sys

    console = output.console
    return console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()


def _has_textual() -> bool:
    import importlib.util

    return importlib.util.find_spec("textual") is not None


def _in_lines(
    watcher: Watcher,
    interval: float,
    times: Optional[int],
    sort: str,
    text: str,
    limit: int,
    output: Output,
) -> None:
    import itertools
    import time

    from ..._top.reading import as_json
    from ..._top.table import lines

    for look in itertools.count(1):
        try:
            reading = watcher.look()
        except ProcessLookupError as gone:
            if look == 1:
                refuse(str(gone))
            click.echo(f"hangup: {gone}", err=True)
            raise SystemExit(FOUND) from None
        output.document(as_json(reading))
        if not output.is_json:
            for line in lines(reading, sort, text, limit or None):
                click.echo(line)
            click.echo()
        if look == times:
            return
        time.sleep(interval)
