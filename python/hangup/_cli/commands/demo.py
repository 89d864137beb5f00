"""``hangup demo``."""

from __future__ import annotations

from typing import Optional

import click

from .. import FOUND
from ..output import Output, output_option


@click.command()
@click.option("--gunicorn", metavar="VERSION", help="a version unpacked in .gunicorn/VERSION")
@click.option("--only", metavar="SCENARIO", multiple=True, help="one of the scenarios; may be repeated")
@output_option
def command(gunicorn: Optional[str], only: tuple[str, ...], output: Output) -> None:
    """Storm stock gunicorn, then gunicorn with hangup, and print what was counted."""
    from ..._demo.scenarios import SCENARIOS
    from ..._demo.table import as_json, run, show

    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in only:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--only")
    outcome = run([known[name] for name in known if not only or name in only], gunicorn)
    output.document(as_json(outcome))
    if not output.is_json:
        show(outcome, output.console)
    if outcome.failed:
        raise SystemExit(FOUND)
