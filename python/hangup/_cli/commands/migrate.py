"""``hangup migrate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import FOUND
from ..folder import absolute
from ..output import Output, output_option, refuse

if TYPE_CHECKING:
    from ..._migrate.findings import Finding


@click.group()
def command() -> None:
    """Move a deployment to threads, and hangup."""


@command.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--write", is_flag=True, help="change the files")
@output_option
def eventlet(folder: Path, write: bool, output: Output) -> None:
    """Print what a deployment on eventlet has to change to run on gthread with hangup.

    A diff of what can be changed; blockers, which a person has to change, and hints, with their file and line. Reads
    Python, requirements, Procfile, Dockerfile, compose files, units, scripts and gunicorn's configuration; imports
    nothing.
    """
    from ..._init.files import File
    from ..._init.plan import Refused
    from ..._init.store import store
    from ..._migrate.project import migration

    folder = absolute(folder)
    found = migration(folder)
    try:
        stored = [
            store(File("eventlet", change.path, change.after), folder, force=True, only_show=not write)
            for change in found.changes
        ]
    except Refused as reason:
        refuse(str(reason))
    blockers = [one for one in found.findings if one.kind == "blocker"]
    hints = [one for one in found.findings if one.kind == "hint"]
    output.document(
        {"found": found.found, "written": write, "files": [{"path": str(one.path), "diff": one.diff} for one in stored],
         "blockers": [_as_json(one) for one in blockers], "hints": [_as_json(one) for one in hints]}
    )  # fmt: skip
    if not found.found:
        output.say("Nothing here runs on eventlet.")
        return
    if not output.is_json:
        _show([one.diff for one in stored], blockers, hints, write, output)
    if blockers or (stored and not write):
        raise SystemExit(FOUND)


def _as_json(finding: Finding) -> dict[str, object]:
    return {**finding._asdict(), "path": str(finding.path)}


def _show(
    diffs: list[str], blockers: list[Finding], hints: list[Finding], write: bool, output: Output
) -> None:
    from rich.markup import escape

    from ..._printable import printable
    from ..diff import diff_line

    for diff in diffs:
        output.say(*(diff_line(line) for line in diff.splitlines()))
    for title, colour, findings in (("Blockers", "red", blockers), ("Hints", "yellow", hints)):
        if findings:
            output.say("", f"[bold {colour}]{title}[/]")
        for one in findings:
            place = f"{one.path}:{one.line}"
            output.say(f"  [bold]{escape(printable(place))}[/]: {escape(printable(f'{one.what}: {one.do}'))}")
    done = "changed" if write else "to change: --write does it, or `patch -p1`"
    output.say("", f"{_count(diffs, 'file')} {done}; {_count(blockers, 'blocker')}, {_count(hints, 'hint')}")


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
