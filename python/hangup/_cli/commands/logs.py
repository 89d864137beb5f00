"""``hangup logs``."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO

import click

from .. import FOUND
from ..output import Output, output_option, refuse


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(allow_dash=True))
@click.option("--examples", is_flag=True, help="show the first of each family")
@output_option
def command(files: tuple[str, ...], examples: bool, output: Output) -> None:
    """Sort logs into families: real bugs, known failures, and clients that left.

    FILE may be compressed. Without one, or for "-", standard input is read to its end, or to Ctrl-C.

    Status: 0, nothing but clients that left; 1, bugs or failures; 2, a file cannot be read.
    """
    from ..._explain import show
    from ..._explain.families import Families, Kind
    from ..._explain.reading import Log

    if not files and sys.stdin.isatty():
        refuse("which? hangup logs /var/log/gunicorn/error.log, or: journalctl -u app | hangup logs -")
    for name in files:  # before hours are spent on the first
        if name != "-" and (os.path.isdir(name) or not os.access(name, os.R_OK)):
            _opened(name)
    families = Families()
    log = Log(families.add)
    with contextlib.suppress(KeyboardInterrupt):  # what was read until then
        for name in files or ("-",):
            with _opened(name) as stream:
                log.read(stream, "standard input" if name == "-" else name)
    output.document(
        {
            "lines": log.lines,
            "bytes": log.size,
            "damages": log.damages,
            "families": [family.as_json(log.lines) for family in families.sorted()],
        }
    )
    output.say(*show.logs(families, log, examples))
    if families.sorted(Kind.BUG, Kind.TROUBLE):
        raise SystemExit(FOUND)


def _opened(name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if name == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except OSError as error:
        refuse(f"{name}: {error.strerror}")
