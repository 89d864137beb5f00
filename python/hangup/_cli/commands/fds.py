"""``hangup fds``."""

from __future__ import annotations

import click

from .. import FOUND
from ..output import Output, output_option, refuse


@click.command()
@click.argument("pid", type=click.IntRange(1))
@output_option
def command(pid: int, output: Output) -> None:
    """List what a process holds open, and how many of each kind; TCP sockets by their state."""
    from ..._top import descriptors

    try:
        held = descriptors.of(pid)
    except (FileNotFoundError, ProcessLookupError):
        refuse(f"there is no process {pid}")
    except OSError as error:
        click.echo(f"hangup: process {pid}: {error.strerror or error}", err=True)
        raise SystemExit(FOUND) from None
    output.document(held.as_json())
    if not output.is_json:
        for line in descriptors.lines(held):
            click.echo(line)
