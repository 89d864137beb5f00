"""``hangup init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from .. import FOUND
from ..folder import absolute
from ..output import Output, output_option, refuse

if TYPE_CHECKING:
    from ..._init.project import Project
    from ..._init.store import Stored


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--app", metavar="MODULE:NAME", help="the application; found if there is one")
@click.option("--name", help="of the service; else the folder's")
@click.option("--server", type=click.Choice(["gunicorn", "uvicorn"]), help="else by the application")
@click.option("--user", default="www-data", show_default=True, help="who runs it")
@click.option("--group", help="else the user's")
@click.option("--workers", type=click.IntRange(1, 512), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1, 10_000), default=16, show_default=True)
@click.option(
    "--clients", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="at the same time"
)
@click.option("--domain", "domains", multiple=True, help="that nginx answers for; may be repeated")
@click.option("--port", type=click.IntRange(1, 65535), help="where the application listens; 8000")
@click.option(
    "--socket",
    metavar="PATH",
    is_flag=False,
    flag_value="",
    help="a Unix socket instead, below /run by default",
)
@click.option("--listen", type=click.IntRange(1, 65535), help="nginx's port; 80, or 443 with a certificate")
@click.option("--certificate", metavar="PATH", default="", help="of TLS, for nginx")
@click.option("--certificate-key", metavar="PATH", default="", help="its key")
@click.option("--static", metavar="DIR", default="", help="what nginx serves at /static/")
@click.option("--websocket-path", "websockets", metavar="PATH", multiple=True, help="unbuffered by nginx")
@click.option("--watch", is_flag=True, help="systemd: start the server with `hangup watch`")
@click.option("--watch-beside", is_flag=True, help="systemd: `hangup watch` in a unit of its own")
@click.option(
    "--redis/--no-redis", default=None, help="compose, render: a message queue; if the project uses one"
)
@click.option("--programs", metavar="DIR", help="where gunicorn is; else the virtual environment's bin")
@click.option("--gunicorn-version", metavar="VERSION", help="to write for; else the one here")
@click.option("--nginx-version", metavar="VERSION")
@click.option("--systemd-version", metavar="VERSION")
@click.option(
    "--directory",
    "-C",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="of the application",
)
@click.option(
    "--output", "-o", "folder", metavar="DIR", help="where to write; - is standard output; else --directory"
)
@click.option("--diff", "only_show", is_flag=True, help="show what would be written, and write nothing")
@click.option("--force", is_flag=True, help="replace files that differ")
@output_option
def command(
    targets: tuple[str, ...],
    folder: Optional[str],
    only_show: bool,
    force: bool,
    output: Output,
    **options: Any,
) -> None:
    """Write the files that a service needs: reviewed, commented, and fitting each other.

    TARGET is gunicorn, nginx, systemd, logrotate, docker, compose, render, django, flask or alerts. Without one, says
    what can be written and what application was found.
    """
    from ..._init.files import TARGETS
    from ..._init.plan import Refused
    from ..._init.project import look

    for target in targets:
        if target not in TARGETS:
            raise click.BadParameter(f"{target!r} is none of {', '.join(TARGETS)}", param_hint="TARGET")
    try:
        project = look(absolute(options["directory"]))
        if not targets:
            _overview(project, output)
            return
        _write(list(dict.fromkeys(targets)), project, options, folder, (only_show, force), output)
    except Refused as reason:
        refuse(str(reason))


def _write(
    targets: list[str], project: Project, options: dict[str, Any], folder: Optional[str],
    how: tuple[bool, bool], output: Output,
) -> None:  # fmt: skip
    from ..._init.service import prepared
    from ..._init.store import store

    found, notes = prepared(targets, project, options)
    if folder == "-":
        _to_standard_output(found, notes, output)
        return
    only_show, force = how
    where = Path(folder) if folder else project.directory
    stored = [store(file, where, only_show=True) for file in found]  # all can be read, before one is written
    if not only_show:
        stored = [store(file, where, force=force) for file in found]
    _report(stored, notes, output)
    if any(one.state in {"differs", "missing"} for one in stored):
        raise SystemExit(FOUND)


def _to_standard_output(found: list[Any], notes: list[str], output: Output) -> None:
    if output.is_json:
        output.document(
            {
                "files": [{"target": f.target, "path": str(f.path), "text": f.text} for f in found],
                "notes": notes,
            }
        )
        return
    for file in found:
        click.echo((f"# {file.path}\n" if len(found) > 1 else "") + file.text, nl=False)
    for note in notes:
        click.echo(f"hangup: {note}", err=True)


def _report(stored: list[Stored], notes: list[str], output: Output) -> None:
    from rich.markup import escape

    from ..._init.plan import shown
    from ..diff import diff_line

    output.document({"files": [{**one._asdict(), "path": str(one.path)} for one in stored], "notes": notes})
    for one in stored:
        if one.state in {"differs", "missing"}:
            output.say(*(diff_line(line) for line in one.diff.splitlines()))
        path = str(one.path) if str(one.path).isprintable() else shown(str(one.path))
        output.say(f"[bold]{one.state:9}[/] {escape(path)}")
    for note in notes:
        output.say(f"[dim]note:[/] {escape(note)}")
    if any(one.state == "differs" for one in stored):
        output.say("Nothing that differs was changed; --force replaces it.")


def _overview(project: Project, output: Output) -> None:
    from rich.markup import escape

    from ..._init.files import TARGETS
    from ..._init.plan import shown
    from ..._init.versions import as_text, installed

    versions = installed()
    numbers = {name: as_text(getattr(versions, name)) for name in ("gunicorn", "nginx", "systemd")}
    facts = {"app": project.app, "framework": project.framework, "settings": project.settings,
             "socketio": project.socketio, "channels": project.channels, "message_queue": project.queue}  # fmt: skip
    output.document(
        {"targets": TARGETS, "project": {**facts, "directory": str(project.directory), "reasons": project.reasons},
         "versions": numbers, "assumed": versions.assumed}
    )  # fmt: skip
    output.say("hangup init TARGET... writes:")
    output.say(*(f"  [bold]{name:10}[/] {escape(what)}" for name, what in TARGETS.items()))
    output.say("", f"In {escape(shown(str(project.directory)).strip(chr(39)))}:")
    output.say(
        f"  application  {project.app or 'none found: name it with --app MODULE:NAME'}"
        + (f" ({project.framework})" if project.framework else "")
    )
    output.say(
        *(
            f"               {escape(reason if reason.isprintable() else shown(reason))}"
            for reason in project.reasons
        )
    )
    for name, number in numbers.items():
        output.say(
            f"  {name:12} {number}" + (" (not installed here: assumed)" if name in versions.assumed else "")
        )
