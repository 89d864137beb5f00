"""``hangup storm``."""

from __future__ import annotations

from typing import Any, Optional

import click

from .. import FOUND
from ..load_options import FiniteRange, load_options, target_options
from ..output import Output, output_option, refuse

_DEFAULT = ("success>=95%",)
_MOMENTS = (
    "before-request",
    "in-head",
    "in-body",
    "before-response",
    "during-response",
    "after-upgrade",
    "mid-frame",
    "during-polling",
)


@click.command()
@click.option("--mix", metavar="rst=5,silent", multiple=True, help="kinds of clients, with weights; else all")
@click.option(
    "--when",
    "moments",
    type=click.Choice(_MOMENTS),
    multiple=True,
    help="they leave; may be repeated; else always",
)
@click.option("-c", "--clients", type=click.IntRange(1), default=100, show_default=True, help="at a time")
@click.option(
    "--rate",
    type=FiniteRange(0, 100_000),
    default=200.0,
    show_default=True,
    help="new clients a second, without burst and reconnect; 0: as many as can",
)
@click.option("-s", "--seconds", type=FiniteRange(0.1, 86_400), default=10.0, show_default=True)
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), help="for the same clients again")
@click.option(
    "--jitter",
    type=FiniteRange(0, 3600),
    default=0.0,
    show_default=True,
    help="seconds within which reconnecting clients come back",
)
@click.option(
    "--wave",
    type=FiniteRange(0.05, 3600),
    default=1.0,
    show_default=True,
    help="seconds between two waves of burst and reconnect",
)
@click.option(
    "--drip",
    type=FiniteRange(0.001, 3600),
    default=0.1,
    show_default=True,
    help="seconds between two bytes of slowloris",
)
@click.option(
    "--post",
    "body",
    metavar="BYTES",
    type=click.IntRange(1, 1 << 24),
    default=None,
    help="requests are POSTs with so long a body",
)
@click.option("--probe", metavar="URL", help="what healthy clients visit meanwhile; else the same")
@click.option("--no-probe", is_flag=True, help="no healthy clients")
@click.option("--before", type=FiniteRange(0, 3600), default=2.0, show_default=True, help="seconds of theirs")
@click.option("--after", type=FiniteRange(0, 3600), default=2.0, show_default=True, help="seconds of theirs")
@load_options
@output_option
def command(
    url: Optional[str],
    required: tuple[str, ...],
    plot: Optional[str],
    mix: tuple[str, ...],
    probe: Optional[str],
    no_probe: bool,
    body: Optional[int],
    output: Output,
    **wish: Any,
) -> None:
    """Storm a server with clients that reset, vanish, stall and come back, and see how healthy ones fare.

    \b
    rst        leaves by a reset            slow       reads slowly
    fin        leaves without a word        slowloris  sends its request byte by byte
    half       sends no more, and stays     burst      all come, and leave, at the same moment
    silent     never answers, never leaves  reconnect  all leave at the same moment, and come back

    Without a URL, a server is looked for on this machine. Required is success>=95% of the healthy clients' visits
    during the storm, if nothing else is.
    """
    from ..._load import Refused
    from ..._load.plot import draw, require_drawing
    from ..._load.progress import storm_progress
    from ..._load.requirements import parse
    from ..._load.show import show_storm, storm_as_json
    from ..._load.storm import Wish, parse_mix, storm
    from ..._load.target import target

    try:
        default = () if no_probe else _DEFAULT
        requirements = [parse(text) for text in required or default]
        require_drawing(plot)
        options = target_options(wish)
        server = target(url, options)
        visited = (
            None if no_probe else server if probe is None else target(probe, options._replace(protocol=None))
        )
        asked = Wish(mix=parse_mix(mix), probe=visited, body=body or 0, **wish)
        with storm_progress(asked) as watch:
            result = storm(server, asked, requirements, watch)
    except Refused as reason:
        refuse(str(reason))
    if plot is not None:
        draw(plot, server.url, result.report["timeline"])
    output.document(storm_as_json(server, visited, result))
    output.say(*show_storm(server, result))
    if not result.passed:
        raise SystemExit(FOUND)
