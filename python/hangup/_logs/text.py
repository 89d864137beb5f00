"""Text from clients in our log lines."""

from __future__ import annotations


def escape(text: object) -> str:
    """Text from a client, fit for one line of a log.

    Whatever is not printable (line ends, control bytes, separators, text direction marks, lone surrogates)
    becomes a backslash escape, and so does the backslash, so that two different texts stay different.

    Args:
        text: bytes are read as Latin-1, anything else by its ``str()``.
    """
    line = text.decode("latin-1") if isinstance(text, (bytes, bytearray)) else str(text)
    if line.isprintable() and "\\" not in line:
        return line
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode("ascii")
        for char in line
    )
