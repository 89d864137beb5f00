"""The ``hangup`` command. Needs the extra ``cli``; says so where it is missing."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point. Exit status: the subcommand's; 2 for a usage error or a missing extra."""
    try:
        import click
    except ImportError:
        print("hangup: the command line needs an extra: pip install 'hangup[cli]'", file=sys.stderr)
        return 2

    from . import __version__

    @click.group()
    @click.version_option(__version__, prog_name="hangup")
    def command() -> None:
        """Sockets whose clients hang up, owned natively."""

    @command.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def demo(arguments: tuple[str, ...]) -> None:
        """Storm stock gunicorn, then gunicorn with hangup, and print what was counted."""
        from ._demo import main as run

        raise SystemExit(run(list(arguments)))

    command()
    return 0
