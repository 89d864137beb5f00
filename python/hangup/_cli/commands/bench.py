"""``hangup bench``."""

from __future__ import annotations

from typing import Any, Optional

import click

from .. import FOUND
from ..load_options import FiniteRange, load_options, target_options
from ..output import Output, output_option, refuse

_MODES = ("sequential", "concurrent", "ramp", "stress", "echo", "fanout", "connect")
_DEFAULT = ("success>=95%",)


def _steps(_context: click.Context, _parameter: click.Parameter, given: Optional[str]) -> tuple[int, ...]:
    if given is None:
        return ()
    try:
        steps = tuple(int(step) for step in given.split(","))
    except ValueError:
        raise click.BadParameter("is not like 10,50,100") from None
    if min(steps) < 1 or list(steps) != sorted(set(steps)):
        raise click.BadParameter("each step has more clients than the one before, the first at least one")
    return steps


@click.command()
@click.option("-m", "--mode", type=click.Choice(_MODES), default="ramp", show_default=True)
@click.option("-c", "--clients", type=click.IntRange(1), help="at most")
@click.option("--steps", metavar="10,50,100", callback=_steps, help="clients in each stage of a ramp")
@click.option("-s", "--seconds", type=FiniteRange(0.1, 86_400), help="of each stage")
@click.option("-n", "--messages", type=click.IntRange(0), help="of each client: sequential, concurrent")
@click.option("--interval", type=FiniteRange(0, 3600), help="seconds between a client's messages")
@click.option(
    "--connecting",
    type=click.IntRange(1),
    help="clients that connect at a time",
)
@click.option(
    "--payload",
    type=click.IntRange(0, 1 << 20),
    help="bytes of a message's text",
)
@click.option(
    "--window",
    type=click.IntRange(1, 10_000),
    help="broadcasts that are under way at a time",
)
@click.option("--event", help="of Socket.IO: echo, in a fanout broadcast")
@click.option("--ack", is_flag=True, help="the answer is an acknowledgement")
@click.option("--send", metavar="TEXT", help="the message itself; {text} and {id} are filled in")
@click.option("--answer", metavar="TEXT", help="what an answer contains; {text} and {id} are filled in")
@load_options
@output_option
def command(
    url: Optional[str], required: tuple[str, ...], plot: Optional[str], output: Output, **wish: Any
) -> None:
    """Measure a WebSocket, Socket.IO or HTTP server with clients that behave.

    Without a URL, a server is looked for on this machine. Required is success>=95% if nothing else is.
    """
    from ..._load import Refused
    from ..._load.bench import Wish, bench
    from ..._load.plot import draw, require_drawing
    from ..._load.progress import progress
    from ..._load.requirements import parse
    from ..._load.show import bench_as_json, show_bench
    from ..._load.target import target

    try:
        requirements = [parse(text) for text in required or _DEFAULT]
        require_drawing(plot)
        server = target(url, target_options(wish))
        with progress() as watch:
            result = bench(server, Wish(**wish), requirements, watch)
    except Refused as reason:
        refuse(str(reason))
    if plot is not None:
        draw(plot, server.url, result.timeline)
    output.document(bench_as_json(server, wish["mode"], result))
    output.say(*show_bench(server, result))
    if not result.passed:
        raise SystemExit(FOUND)
