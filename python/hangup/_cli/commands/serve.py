"""``hangup serve``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from ..folder import absolute
from ..output import Output, output_option, refuse

if TYPE_CHECKING:
    from ..._serve.checks import Check
    from ..._serve.command import Command


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("extra", nargs=-1, metavar="[-- SERVER-OPTION...]")
@click.option(
    "--server", type=click.Choice(["django", "daphne", "uvicorn", "gunicorn"]), help="else by the application"
)
@click.option("--app", metavar="MODULE:NAME", help="the application; found if there is one")
@click.option("--host", help="127.0.0.1, or 0.0.0.0 where the environment has PORT")
@click.option("--port", type=click.IntRange(0, 65535), help="PORT of the environment, else 8000")
@click.option("--socket", metavar="PATH", help="a Unix socket instead")
@click.option("--reload", is_flag=True, help="start anew when the source changes; for development")
@click.option(
    "--directory",
    "-C",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="of the project",
)
@click.option("--no-check", is_flag=True, help="start it without having looked")
@click.option("--dry-run", is_flag=True, help="look, print the command, and start nothing")
@output_option
def command(
    extra: tuple[str, ...], directory: Path, no_check: bool, dry_run: bool, output: Output, **options: Any
) -> None:
    """Start the right server for a Django or Flask project, with hangup in it.

    What comes after -- is for the server. The server takes this process's place: signals and exit status are its own.
    """
    from ..._init.plan import Refused
    from ..._init.project import look
    from ..._serve.checks import checks
    from ..._serve.choice import choose
    from ..._serve.command import command as command_of

    try:
        project = look(absolute(directory))
        choice = choose(project, options["server"], options["app"])
        started = command_of(
            choice, _place(options), project.directory, list(extra), reload=options["reload"]
        )
    except Refused as reason:
        refuse(str(reason))
    found = [] if no_check else checks(choice, project, started.place)
    _show(started, found, dry_run, output)
    if any(check.state == "failed" for check in found):
        refuse(f"{choice.server} is not started")
    if not dry_run:
        _become(started, project.directory)


def _place(options: dict[str, Any]) -> Any:
    from ..._init.plan import Refused
    from ..._serve.command import Place

    platform = os.environ.get("PORT", "")
    if platform and not (platform.isascii() and platform.isdigit() and int(platform) < 65536):
        raise Refused(f"PORT is {platform!a} in the environment, which is no port")
    if options["socket"] and (options["port"] is not None or options["host"]):
        raise Refused("--socket, or --host and --port; not both")
    host: Optional[str] = options["host"]
    given = bool(options["socket"]) or host is not None or options["port"] is not None or bool(platform)
    port = options["port"] if options["port"] is not None else int(platform or 8000)
    default = "0.0.0.0" if platform and options["port"] is None else "127.0.0.1"
    return Place(
        host or default, port, os.path.abspath(options["socket"]) if options["socket"] else "", given
    )


def _show(started: Command, found: list[Check], dry_run: bool, output: Output) -> None:
    from rich.markup import escape

    from ..._printable import printable

    output.document(
        {
            "command": started.arguments,
            "environment": started.environment,
            "checks": [check._asdict() for check in found],
        }
    )
    for check in found:
        if dry_run or check.state != "ok":
            colour = {"ok": "green", "note": "yellow", "failed": "red"}[check.state]
            output.say(f"[{colour}]{check.state:6}[/] {escape(printable(check.text))}")
    if dry_run:
        output.say(escape(printable(started.line)))


def _become(started: Command, directory: Path) -> None:
    """Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(directory)
    os.execve(started.arguments[0], started.arguments, {**os.environ, **started.environment})
