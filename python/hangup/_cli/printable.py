"""Texts from outside, for a terminal."""

from __future__ import annotations


def printable(line: str) -> str:
    """A line in which nothing steers a terminal: what is not printable is escaped; tabs stay."""
    if line.isprintable():
        return line
    return "".join(
        letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1] for letter in line
    )


def diff_line(line: str) -> str:
    """A line of a diff, in rich's markup."""
    from rich.markup import escape

    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    text = escape(printable(line))
    return f"[{colour}]{text}[/]" if colour else text
