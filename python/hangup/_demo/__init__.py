"""The demonstration: gunicorn as it is and gunicorn with hangup, under the same clients, in one table.

Promised: every figure was counted in this run, from the clients', the log's and the kernel's side; a row in
which hangup is not better is printed like the others, and marked. Not promised: that figures of two runs
compare.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``hangup demo``.

    Args:
        argv: Command line arguments after the command's name; None for the process's own.

    Returns:
        0 when everything ran, 1 when something failed, 2 for a wrong command line (raised as SystemExit).
    """
    # Not imported above: the servers and scenarios are used without the table.
    from hangup._demo.table import main as run

    return run(argv)
