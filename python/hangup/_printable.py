"""Text from outside (logs, files, names of processes, what servers say), for a terminal."""

from __future__ import annotations


def printable(text: object, keep: str = "") -> str:
    """Text in which nothing steers a terminal: what is not printable is written as Python would.

    Args:
        text: anything; what ``str()`` makes of it.
        keep: letters that stay although they are not printable.
    """
    said = str(text)
    if said.isprintable():
        return said
    return "".join(
        letter if letter.isprintable() or letter in keep else ascii(letter)[1:-1] for letter in said
    )
