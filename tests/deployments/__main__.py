"""``python -m deployments``: the table. 1 if hangup misses its target anywhere, or a deployment could not run."""

from __future__ import annotations

import signal
import sys

import click
from hangup._cli.output import Output, output_option

from .runner import NAMES, rows


@click.command()
@click.option(
    "--only", metavar="NAME", multiple=True, type=click.Choice(NAMES), help="one of them; may be repeated"
)
@click.option("--quick", is_flag=True, help="a sample: fewer clients, shorter")
@output_option
def command(only: tuple[str, ...], quick: bool, output: Output) -> None:
    """Run the deployments, stock and with hangup, and print what was counted."""
    from .table import show

    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # services are in sessions of their own
    found = rows(only or NAMES, quick=quick)
    output.document([row.as_json() for row in found])
    if not output.is_json:
        show(found, output.console)
    if not all(row.hangup.on_target for row in found):
        raise SystemExit(1)


command()
