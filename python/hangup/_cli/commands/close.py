"""``hangup close``."""

from __future__ import annotations

from typing import Any, Optional

import click

from .. import FOUND
from ..output import Output, output_option, refuse
from ..target import the_master


@click.command()
@click.argument("sids", nargs=-1, metavar="[SID]...")
@click.option("--pid", type=click.IntRange(1), help="gunicorn's master, or one of its workers")
@click.option("--fd", "fds", type=click.IntRange(0), multiple=True, help="a descriptor of the worker --pid")
@click.option(
    "--silent-for", type=click.FloatRange(0), metavar="SECONDS", help="whose machine said nothing so long"
)
@click.option(
    "--idle", type=click.FloatRange(0), metavar="SECONDS", help="that received and sent nothing so long"
)
@click.option(
    "--code", type=int, default=1000, show_default=True, help="of the close frame; 1006: without one"
)
@click.option("--reason", default="", help="of the close frame")
@click.option("-n", "--dry-run", is_flag=True, help="say what would be closed")
@output_option
def command(
    sids: tuple[str, ...],
    pid: Optional[int],
    fds: tuple[int, ...],
    silent_for: Optional[float],
    idle: Optional[float],
    code: int,
    reason: str,
    dry_run: bool,
    output: Output,
) -> None:
    """Close clients: those that are named, and those that were silent or idle for so long.

    A SID is Socket.IO's or Engine.IO's. WebSockets get a close frame, sessions that poll are ended, other connections
    are shut down. Status 1: one that was named is not there, or a worker did not answer.
    """
    from ..._close import close
    from ..._control.closing import Wanted, checked_code, checked_reason
    from ..._top import processes

    wanted: dict[str, Any] = {
        "sids": list(sids), "fds": list(fds), "silent_for": silent_for, "idle_for": idle
    }  # fmt: skip
    if not (sids or fds) and silent_for is None and idle is None:
        refuse("which connections? SIDs, --fd, --silent-for or --idle")
    try:
        checked_code(code), checked_reason(reason), Wanted(**wanted)
    except ValueError as wrong:
        refuse(str(wrong))
    target = the_master(pid)
    workers = processes.workers_of(target) or [target]
    if fds and len(workers) > 1:
        refuse(f"each worker has a descriptor {fds[0]}: --pid takes one of {', '.join(map(str, workers))}")
    done = close(workers, wanted, code, reason, dry_run)
    output.document(done._asdict())
    if not output.is_json:
        for line in done.lines():
            click.echo(line)
    if done.missing or done.failed:
        raise SystemExit(FOUND)
