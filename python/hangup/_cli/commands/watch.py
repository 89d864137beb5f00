"""``hangup watch``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional, Union

import click

from ..._printable import printable
from .. import FOUND
from ..output import Output, output_option, refuse

if TYPE_CHECKING:
    from ..._watch.attached import Attached
    from ..._watch.child import Child
    from ..._watch.settings import Settings


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("command_line", nargs=-1, metavar="[-- GUNICORN...]", type=click.UNPROCESSED)
@click.option("--pid", type=click.IntRange(min=1), help="the master of a gunicorn that runs")
@click.option("--pid-file", type=click.Path(), help="where its number is")
@click.option("--unit", help="a systemd unit, whose main process it is")
@click.option("--config", type=click.Path(), help="TOML; otherwise [tool.hangup.watch] of ./pyproject.toml")
@click.option(
    "--probe", metavar="URL", help="what to ask; 'off' for nothing  [default: / where gunicorn listens]"
)
@click.option("--host", help="what to say in the header Host")
@click.option(
    "--websocket", metavar="PATH", help="a WebSocket to open; 'auto': Socket.IO's; 'off'  [default: auto]"
)
@click.option("--interval", type=float, help="seconds from look to look  [default: 5]")
@click.option("--timeout", type=float, help="seconds for a probe  [default: 5]")
@click.option("--hung-after", type=float, help="seconds without a heartbeat  [default: gunicorn's timeout]")
@click.option("--silent-for", type=float, help="seconds until a silent client is a zombie  [default: 90]")
@click.option("--zombies", type=int, help="too many in a worker  [default: 20]")
@click.option("--descriptors", type=float, help="share of the limit that is too much  [default: 0.8]")
@click.option("--rss", type=int, help="bytes of a worker that are too much  [default: any]")
@click.option("--restarts", type=int, help="of the service, in --window seconds  [default: 3]")
@click.option("--recycles", type=int, help="of workers, in --window seconds  [default: 10]")
@click.option("--window", type=float, help="seconds  [default: 600]")
@click.option("--needs", multiple=True, metavar="URL", help="what a restart does not mend if it is away")
@click.option("--error-log", type=click.Path(), help="[default: where gunicorn writes to]")
@click.option("--restart-command", help="instead of systemctl restart")
@click.option("--state", help="file that remembers the budget; 'off'  [default: by the service's name]")
@click.option("--dry-run", is_flag=True, help="say what would be done, and do nothing")
@click.option("--once", is_flag=True, help="look once; status 1 if something is wrong")
@output_option
def command(
    command_line: tuple[str, ...],
    pid: Optional[int],
    pid_file: Optional[str],
    unit: Optional[str],
    config: Optional[str],
    dry_run: bool,
    once: bool,
    output: Output,
    **options: Any,
) -> None:
    """Keep a gunicorn service well, with the mildest remedy that helps.

    It starts the gunicorn that is given behind --, or looks after one that runs: that of --pid, --pid-file or --unit,
    or the only one there is. Every decision is a line, with its reasons.
    """
    from ..._watch.settings import WrongSetting, load

    if sum(map(bool, (command_line, pid, pid_file, unit))) > 1:
        refuse("one of --pid, --pid-file, --unit and a command")
    if command_line and (dry_run or once):
        refuse("--dry-run and --once look at a gunicorn that runs: leave the command away")
    try:
        settings = load(options, config, dict(os.environ))
        _check(settings)
    except (WrongSetting, ValueError) as error:
        refuse(str(error))
    service = _service(command_line, pid, pid_file, unit, settings)
    raise SystemExit(
        _look_once(service, settings, output) if once else _watch(service, settings, output, dry_run)
    )


def _check(settings: Settings) -> None:
    """What would fail later, when nobody looks."""
    import shlex

    from ..._watch.outside import needs_of
    from ..._watch.probes import where

    if settings.probe not in ("", "off"):
        where(settings.probe)
    needs_of(settings.needs, {})
    shlex.split(settings.restart_command)


def _service(
    command_line: tuple[str, ...],
    pid: Optional[int],
    pid_file: Optional[str],
    unit: Optional[str],
    settings: Settings,
) -> Union[Attached, Child]:
    from ..._watch.attached import Attached
    from ..._watch.child import Child
    from ..._watch.processes import command_line as command_line_of
    from ..._watch.processes import masters, process
    from ..._watch.systemd import has_systemctl

    if command_line:
        return Child(list(command_line), settings.graceful or 40.0)
    if unit and not has_systemctl():
        refuse("--unit: systemd does not run here")
    if not (pid or pid_file or unit):
        found = masters()
        if len(found) != 1:
            lines = [
                f"\n  --pid {one.pid}  {printable(' '.join(command_line_of(one.pid)))[:100]}" for one in found
            ]
            refuse(
                f"which gunicorn?{''.join(lines)}" if found else "no gunicorn runs here that could be watched"
            )
        pid = found[0].pid
    if pid and process(pid) is None:
        refuse(f"--pid: there is no process {pid}")
    return Attached(pid, pid_file, unit, settings.restart_command)


def _watch(service: Union[Attached, Child], settings: Settings, output: Output, dry_run: bool) -> int:
    from ..._watch.attached import CannotDo
    from ..._watch.loop import Watch
    from ..._watch.state import State, Taken, default_path

    path = None if settings.state == "off" or dry_run else settings.state or default_path(service.name)
    try:
        state = State(path)
    except Taken:
        refuse(f"another watch looks after {service.name}")

    def told(event: dict[str, Any]) -> None:
        _show(event, output, is_child=service.is_child)

    try:
        return Watch(settings, service, state, told, dry_run=dry_run).run()
    except CannotDo as error:
        refuse(str(error))
    finally:
        state.close()


def _look_once(service: Union[Attached, Child], settings: Settings, output: Output) -> int:
    from ..._watch import report
    from ..._watch.look import Observer
    from ..._watch.measures import measures
    from ..._watch.state import now

    observer = Observer(settings, service)
    look = observer.look(now())
    found = [
        {"symptom": kind, "worker": pid, "text": printable(measure.text)}
        for (kind, pid), measure in measures(look, observer.resolved())
        if measure.is_bad
    ]
    output.document({"findings": found, "service": report.summary(look)})
    for one in found:
        whom = f"worker {one['worker']}: " if one["worker"] else ""
        _say(f"{one['symptom']}: {whom}{one['text']}", output)
    for fault in look.faults:
        _say(f"outside: {printable(fault.text)}", output)
    if not found and not look.faults:
        _say(report.status(look, "all is well"), output)
    return FOUND if found or look.faults else 0


def _show(told: dict[str, Any], output: Output, *, is_child: bool) -> None:
    """A line. That it cannot be written must not end a service: its disk may be full, its reader gone."""
    import threading

    from ..._watch import report

    try:
        output.document(told)
        _say(report.line(told), output)
    except BrokenPipeError:
        if not is_child and threading.current_thread() is threading.main_thread():
            raise
    except OSError:
        pass


def _say(text: str, output: Output) -> None:
    if not output.is_json:
        click.echo(text)
