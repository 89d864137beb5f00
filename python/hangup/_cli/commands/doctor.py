"""``hangup doctor``."""

from __future__ import annotations

import time
from typing import Any, Optional

import click

from .. import FOUND
from ..output import Output, output_option, refuse

_STYLES = {
    "dim": "dim",
    "title": "bold",
    "error": "red",
    "warning": "yellow",
    "info": "cyan",
    "+": "green",
    "-": "red",
}
_CATALOGUE = ("asked", "show", "verdict")


def _codes(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> Optional[set[str]]:
    from ..._doctor.registry import matching

    words = [word.strip() for each in given for word in each.split(",")]
    try:
        return matching(words) if words else None
    except LookupError as error:
        raise click.BadParameter(f"no rule begins with {error.args[0]!r}: see --list") from error


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]…", type=click.Path(exists=True))
@click.option("--pid", type=click.IntRange(min=1), help="a running server")
@click.option("--nginx", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--unit", "units", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--command", "line", metavar="LINE", help="how the server is started")
@click.option(
    "--clients", default=100, show_default=True, type=click.IntRange(min=1), help="expected at once"
)
@click.option("--select", multiple=True, metavar="CODES", callback=_codes, help="only these: HUP4,HUP101")
@click.option("--ignore", multiple=True, metavar="CODES", callback=_codes, help="all but these")
@click.option("--fix", is_flag=True, help="change what is safe to change")
@click.option("--diff", is_flag=True, help="with --fix: only show it")
@click.option("--list", "listing", is_flag=True, help="all rules")
@click.option("--explain", metavar="CODE", help="one rule")
@output_option
def command(
    paths: tuple[str, ...],
    pid: Optional[int],
    nginx: tuple[str, ...],
    units: tuple[str, ...],
    line: Optional[str],
    clients: int,
    select: Optional[set[str]],
    ignore: Optional[set[str]],
    fix: bool,
    diff: bool,
    listing: bool,
    explain: Optional[str],
    output: Output,
) -> None:
    """Find what is wrong with a deployment, by reading it; here, if no PATH is given."""
    from ..._doctor import Asked, examine, gather

    if diff and not fix:
        refuse("--diff shows what --fix would do: give both")
    if listing:
        return _list(output)
    if explain:
        return _explain(explain, output)
    began = time.monotonic()
    try:
        facts = gather(Asked(paths, pid, nginx, units, line, clients=clients))
    except OSError as error:
        refuse(f"process {pid} cannot be read: {error.strerror or error}")
    findings = examine(facts, select, ignore)
    if fix:
        _fix(findings, diff, output)
    else:
        _show(facts, findings, time.monotonic() - began, output)
    if findings:
        raise SystemExit(FOUND)
    return None


def _say(lines: Any, output: Output) -> None:
    from rich.text import Text

    from ..._printable import printable

    for style, text in lines:
        output.say(Text(printable(text), style=_STYLES.get(style, "")))


def _show(facts: Any, findings: Any, seconds: float, output: Output) -> None:
    from ..._doctor import report
    from ..._doctor.registry import rules

    output.document(report.as_json(facts, findings, seconds) if output.is_json else None)
    _say(report.lines(facts, findings, seconds, len(rules())), output)


def _list(output: Output) -> None:
    from ..._doctor.registry import rules
    from ..._doctor.report import rule_as_json

    output.document([rule_as_json(rule) for rule in rules().values()])
    _say(
        (
            (rule.severity, f"{rule.code} {rule.severity:>8} {rule.name}: {rule.wrong}")
            for rule in rules().values()
        ),
        output,
    )


def _explain(code: str, output: Output) -> None:
    from ..._doctor.registry import rules
    from ..._doctor.report import explained, rule_as_json

    rule = rules().get(code.upper()) or next((each for each in rules().values() if each.name == code), None)
    if rule is None:
        return _explain_failure(code, output)
    output.document(rule_as_json(rule))
    _say(explained(rule), output)
    return None


def _explain_failure(code: str, output: Output) -> None:
    """The codes below HUP100 are those of ``hangup explain``."""
    import importlib

    try:
        asked, show, verdict = (importlib.import_module(f"hangup._explain.{name}") for name in _CATALOGUE)
    except ImportError:
        refuse(f"there is no rule {code!r}: see --list")
    known = verdict.of_code(code.upper())
    if known is None:
        refuse(f"there is no rule {code!r}: see --list")
    output.document(asked.failure_as_json(known))
    output.say(*show.failure(known))


def _fix(findings: Any, only_show: bool, output: Output) -> None:
    from ..._doctor import mend

    try:
        wanted = mend.changes(findings)
        if not only_show:
            for change in wanted:
                mend.write(change)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}")
    differences = [list(mend.difference(change)) for change in wanted]
    output.document(
        {
            "changed": [] if only_show else [change.path for change in wanted],
            "diff": "".join(f"{each}\n" for lines in differences for each in lines)
            .encode(errors="replace")
            .decode(),
            "left": sorted({finding.code for finding in findings if not finding.edits}),
        }
    )
    _say(((each[:1], each.replace("\t", "    ")) for lines in differences for each in lines), output)
    left = [finding for finding in findings if not finding.edits]
    told = "would be changed" if only_show else "changed"
    _say([("title", f"{len(wanted)} files {told}; {len(left)} findings have to be mended by hand")], output)
    _say(
        ((finding.rule.severity, f"{finding.code} {finding.place}: {finding.text}") for finding in left),
        output,
    )
