"""``hangup describe``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import click

from .. import FOUND
from ..output import Output, output_option, refuse
from ..target import the_master

if TYPE_CHECKING:
    from ..._top.reading import Reading


@click.group()
def command() -> None:
    """Say all that is known of one client, or of one worker."""


@command.command()
@click.argument("name", metavar="SID|FD")
@click.option("--pid", type=click.IntRange(1), help="gunicorn's master, or the worker with this descriptor")
@output_option
def conn(name: str, pid: Optional[int], output: Output) -> None:
    """A client: by its sid, Socket.IO's or Engine.IO's, or by its descriptor in a worker."""
    from ..._top.description import find, of_client

    reading = _look(the_master(pid))
    row = find(reading, name)
    if row is None:
        hint = (
            "; a descriptor is one of a worker: --pid"
            if name.isdecimal() and len(reading.workers) > 1
            else ""
        )
        click.echo(f"hangup: there is no such client{hint}", err=True)
        raise SystemExit(FOUND)
    output.document(row)
    if not output.is_json:
        for line in of_client(row):
            click.echo(line)


@command.command()
@click.argument("pid", type=click.IntRange(1))
@output_option
def worker(pid: int, output: Output) -> None:
    """A worker, or any process that you may look into."""
    from ..._top.description import of_worker
    from ..._top.processes import master_of, workers_of
    from ..._top.reading import as_json

    if workers := workers_of(pid):
        refuse(f"{pid} is gunicorn's master; its workers are {', '.join(map(str, workers))}")
    reading = _look(pid)
    output.document(as_json(reading))
    if not output.is_json and reading.workers:
        for line in of_worker(reading.workers[0], master_of(pid)):
            click.echo(line)


def _look(pid: int) -> Reading:
    from ..._top.reading import Watcher

    try:
        return Watcher(pid).look()
    except ProcessLookupError as gone:
        refuse(str(gone))
