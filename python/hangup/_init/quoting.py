"""How a text stands in each file's syntax, as itself and nothing else. Control characters have been refused by then."""

from __future__ import annotations

import json


def python(text: str) -> str:
    """A literal with double quotes, as the house's files have them; backslashes and what is not ASCII escaped."""
    return json.dumps(text) if text.isascii() else repr(text)


def nginx(text: str) -> str:
    """A parameter. What cannot be quoted, ``$``, has been refused; so has the backslash."""
    return '"' + text.replace('"', '\\"') + '"'


def unit(text: str) -> str:
    """A setting that systemd takes as it stands, but for its specifiers: ``WorkingDirectory=``."""
    return text.replace("%", "%%")


def program(text: str) -> str:
    """The first word of a command line of systemd: no variables are put in there."""
    return _quoted(text.replace("%", "%%"))


def argument(text: str) -> str:
    """Another word of it."""
    return _quoted(text.replace("%", "%%").replace("$", "$$"))


def _quoted(text: str) -> str:
    if text and all(letter.isalnum() or letter in "/._-:@+=()$%" for letter in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def yaml(value: object) -> str:
    """A scalar or a list: JSON is YAML."""
    return json.dumps(value)
