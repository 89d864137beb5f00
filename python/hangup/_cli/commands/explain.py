"""``hangup explain``."""

from __future__ import annotations

import sys

import click

from .. import FOUND
from ..output import Output, output_option, refuse


@click.command()
@click.argument("text", nargs=-1)
@output_option
def command(text: tuple[str, ...], output: Output) -> None:
    """Say what a line of a log, a traceback, or a code (HUP007) means, who is to blame, and what to do.

    TEXT is read from standard input if there is none, or if it is "-".

    Status: 0, nothing has to be done; 1, something has, or it is not known; 2, there is no such code.
    """
    from ..._explain.asked import about, is_code

    asked = " ".join(text)
    if is_code(asked):
        _code(asked.strip().upper(), output)
        return
    answer = about(_standard_input() if asked in ("", "-") else asked.encode("utf-8", "surrogateescape"))
    output.document(answer.as_json())
    output.say(*answer.lines())
    if not answer.harmless:
        raise SystemExit(FOUND)


def _standard_input() -> bytes:
    stream = sys.stdin.buffer
    if stream.isatty():
        refuse(
            'what? Give it a line: hangup explain "OSError: [Errno 9] Bad file descriptor", or a file: < FILE'
        )
    read: bytes = stream.read(64 << 20)
    return read


def _code(code: str, output: Output) -> None:
    from ..._explain import asked, show, verdict

    known = verdict.of_code(code)
    if known is not None:
        output.document(asked.failure_as_json(known))
        output.say(*show.failure(known))
        return
    rule = asked.rule(code)
    if rule is None:
        refuse(
            f"there is no {code}; docs/errors.md lists them, and `hangup doctor --list` those of the doctor"
        )
    output.document(rule)
    output.say(*asked.rule_lines(rule))
