"""The folder that a command is about."""

from __future__ import annotations

from pathlib import Path

from .output import refuse


def absolute(folder: Path) -> Path:
    """Its path from the root; ends the command where the folder that we are in is gone."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, on older Pythons
        refuse(f"{str(folder)!a}: {getattr(error, 'strerror', None) or error}")
