"""Which versions are installed here; where one is not, what is taken for it."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from typing import NamedTuple, Optional

from .plan import Refused

Version = tuple[int, ...]

#: What a file is written for where the program is not installed: what Debian 12 and PyPI give.
TAKEN = {"gunicorn": (23, 0, 0), "nginx": (1, 22, 1), "systemd": (252,)}

_ASK = {"nginx": ("nginx", "-v"), "systemd": ("systemctl", "--version")}


class Versions(NamedTuple):
    """Of the programs around an application.

    Attributes:
        gunicorn, nginx, systemd: as tuples of numbers.
        assumed: the names of those that are not installed here, nor named.
    """

    gunicorn: Version
    nginx: Version
    systemd: Version
    assumed: tuple[str, ...] = ()


def installed(named: Optional[dict[str, str]] = None) -> Versions:
    """Asks the programs.

    Args:
        named: versions to believe instead, as text, by program.

    Raises:
        Refused: one of those is not a version.
    """
    found: dict[str, Version] = {}
    assumed = []
    for program, default in TAKEN.items():
        text = (named or {}).get(program)
        version = _given(program, text) if text else _ask(program)
        if version is None:
            assumed.append(program)
        found[program] = version or default
    return Versions(found["gunicorn"], found["nginx"], found["systemd"], tuple(assumed))


def as_text(version: Version) -> str:
    """``"27.0.1"``."""
    return ".".join(map(str, version))


def _given(program: str, text: str) -> Version:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,5}){0,3}", text, re.ASCII):
        raise Refused(f"{text!r} is not a version of {program}")
    return tuple(map(int, text.split(".")))


def _ask(program: str) -> Optional[Version]:
    if program == "gunicorn":
        try:
            said = importlib.metadata.version("gunicorn")
        except importlib.metadata.PackageNotFoundError:
            return None
    else:
        said = _said(*_ASK[program])
    numbers = re.search(r"\d+(\.\d+)*", said, re.ASCII)
    return tuple(map(int, numbers.group().split(".")[:3])) if numbers else None


def _said(program: str, option: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        return ""
    try:
        done = subprocess.run([path, option], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).decode("utf-8", "replace")
