"""A diff, for a terminal."""

from __future__ import annotations

from .._printable import printable


def diff_line(line: str) -> str:
    """A line of a diff, in rich's markup."""
    from rich.markup import escape

    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    text = escape(printable(line, keep="\t"))
    return f"[{colour}]{text}[/]" if colour else text
