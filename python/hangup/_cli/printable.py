"""Texts from outside, for a terminal."""

from __future__ import annotations


def printable(line: str) -> str:
    """A line in which nothing steers a terminal: what is not printable is escaped; tabs stay."""
    if line.isprintable():
        return line
    return "".join(
        letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1] for letter in line
    )
