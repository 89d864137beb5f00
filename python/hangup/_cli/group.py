"""The command itself: what is in :mod:`hangup._cli.commands`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Optional

import click

from .. import __version__
from . import commands


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """By name."""
        return sorted(found.name.rstrip("_") for found in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """None if there is no such command."""
        for found in pkgutil.iter_modules(commands.__path__):
            if found.name.rstrip("_") == cmd_name:
                known: click.Command = importlib.import_module(f".{found.name}", commands.__name__).command
                return known
        return None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hangup")
def command() -> None:
    """Sockets whose clients hang up, owned natively."""
