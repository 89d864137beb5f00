"""The ``hangup`` command.

Promised
    * Every command takes ``-f json``; its standard output is then one JSON document, or one for each line where the
      command goes on until it is stopped. Nothing is coloured that does not go to a terminal, or with ``NO_COLOR``.
    * Exit status: 0, nothing found; 1, something was found, or it failed; 2, the command line is wrong, or an extra is
      missing.
    * A command that is asked nothing looks around, and says what it took for granted.

How
    A module in :mod:`hangup._cli.commands` is the command of its name, without its trailing underscore; its object
    ``command`` is a ``click.Command``. It reads the command line and shows the result; what is found out is found out
    in a package beside this one. They import what they need in their functions: ``hangup --help`` imports them all.

Not promised
    The texts for people. What reads them should ask for JSON.
"""

from __future__ import annotations

import errno
import os
import sys

FOUND = 1
USAGE = 2

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> int:
    """Entry point. Exit status: the subcommand's; 2 for a usage error or a missing extra."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        print("hangup: the command line needs an extra: pip install 'hangup[cli]'", file=sys.stderr)
        return USAGE

    from .group import command

    try:
        command()
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left is tried again at the end of the process
        print(f"hangup: standard output: {error.strerror}", file=sys.stderr)
        return FOUND
    return 0
