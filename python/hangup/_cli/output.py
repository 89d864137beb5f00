"""How commands show what they found: to people, or as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Callable, NoReturn, TypeVar

import click

from . import USAGE

if TYPE_CHECKING:
    from rich.console import Console

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Output:
    """Where a command's result goes.

    Attributes:
        is_json: whether standard output is JSON.
        console: for people: standard output, or, with JSON, standard error.
    """

    def __init__(self, form: str) -> None:
        from rich.console import Console

        self.is_json = form == "json"
        self.console: Console = Console(stderr=self.is_json, highlight=False, soft_wrap=True, emoji=False)

    def document(self, value: Any) -> None:
        """One JSON document, on one line, if JSON is wanted. For people, nothing.

        Args:
            value: of what JSON knows; ``float("nan")`` and the like are refused with a ``ValueError``.
        """
        if self.is_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()

    def say(self, *lines: Any) -> None:
        """Lines for people, in rich's markup: escape what is not ours. With JSON, nothing."""
        if not self.is_json:
            for line in lines:
                self.console.print(line)


def output_option(function: _Function) -> _Function:
    """Gives a command ``-f``; its function gets an ``output``, an :class:`Output`."""
    return click.option(
        "-f",
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        callback=lambda _context, _parameter, form: Output(form),
        help="what to print",
    )(function)


def refuse(what: str) -> NoReturn:
    """Ends the command with status 2: nothing was done, and what has to be changed is how it was called."""
    click.echo(f"hangup: {what}", err=True)
    raise SystemExit(USAGE)
