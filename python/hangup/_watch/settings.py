"""What a watch may be told, and where: options, environment, a TOML file; the first that says something holds.

A file is strict: a key that is not known, or a value of another type, is an error, since a misspelt limit protects
nobody.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, fields, replace
from typing import Any, Optional

PREFIX = "HANGUP_WATCH_"


class WrongSetting(ValueError):
    """A setting that cannot be used; the message says which, and where it stands."""


@dataclass(frozen=True)
class Settings:
    """Defaults for a service that nobody has described.

    Attributes:
        interval: seconds from one look to the next.
        timeout: seconds that a probe may take.
        probe: URL to ask; empty: ``/`` at the address where gunicorn listens; ``off``.
        host: what to say in ``Host``; empty: the address.
        websocket: path of a WebSocket to open; ``auto``: Socket.IO's, if it is there; ``off``.
        raise_after, raise_of: a symptom is raised by so many bad looks of so many.
        clear_after: and cleared by so many good ones, in a row.
        relief: what share of a threshold is good again.
        hung_after: seconds without a heartbeat; 0: gunicorn's own timeout, at least 30, or 300 if it cannot be known.
            Less than half of gunicorn's timeout takes idle sync workers for hung ones.
        silent_for: seconds after which a silent client is a zombie.
        zombies: how many in a worker are too many.
        descriptors: what share of the limit is too much.
        rss: bytes of a worker's memory that are too many; 0: any.
        errors_per_minute, violations_per_minute: what is worth a notice.
        drain_within: seconds for a worker's clients to leave.
        graceful: seconds for a worker that was asked to leave; 0: gunicorn's graceful timeout and 10 more.
        hung_patience: the same for one that is hung.
        boot_within: seconds for the service to answer after a start.
        restarts, recycles: at most so many in ``window``; of the service, and of workers.
        window: seconds.
        backoff, longest_backoff: seconds from one restart to the next: twice as many after each, with jitter.
        needs: URLs or ``host:port`` of what the application depends on.
        error_log: its path; empty: where gunicorn writes to.
        restart_command: instead of ``systemctl restart``.
        sockets, pid_files: files to remove before a start, if nobody can be using them.
        state: file in which the budget is remembered; empty: by the service's name; ``off``.
    """

    interval: float = 5.0
    timeout: float = 5.0
    probe: str = ""
    host: str = ""
    websocket: str = "auto"
    raise_after: int = 3
    raise_of: int = 5
    clear_after: int = 2
    relief: float = 0.9
    hung_after: float = 0.0
    silent_for: float = 90.0
    zombies: int = 20
    descriptors: float = 0.8
    rss: int = 0
    errors_per_minute: float = 30.0
    violations_per_minute: float = 30.0
    drain_within: float = 30.0
    graceful: float = 0.0
    hung_patience: float = 5.0
    boot_within: float = 60.0
    restarts: int = 3
    recycles: int = 10
    window: float = 600.0
    backoff: float = 2.0
    longest_backoff: float = 120.0
    needs: tuple[str, ...] = ()
    error_log: str = ""
    restart_command: str = ""
    sockets: tuple[str, ...] = ()
    pid_files: tuple[str, ...] = ()
    state: str = ""

    def __post_init__(self) -> None:
        for name in ("interval", "timeout", "window", "boot_within", "silent_for", "hung_patience"):
            _require(getattr(self, name) > 0, f"{name} has to be more than 0")
        for name in ("hung_after", "graceful", "drain_within", "rss", "restarts", "recycles", "backoff"):
            _require(getattr(self, name) >= 0, f"{name} cannot be less than 0")
        for name in ("descriptors", "relief"):
            _require(0 < getattr(self, name) <= 1, f"{name} is a share: more than 0, at most 1")
        _require(1 <= self.raise_after <= self.raise_of, "raise_after is at least 1 and at most raise_of")
        _require(self.clear_after >= 1 and self.zombies >= 1, "clear_after and zombies are at least 1")
        _require(self.longest_backoff >= self.backoff, "longest_backoff is at least backoff")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WrongSetting(otherwise)


TYPES: dict[str, str] = {field.name: str(field.type) for field in fields(Settings)}


def load(options: dict[str, Any], path: Optional[str], environ: dict[str, str]) -> Settings:
    """The settings.

    Args:
        options: of the command line; None is not given.
        path: a TOML file; None: ``[tool.hangup.watch]`` of ``pyproject.toml`` in the working directory, if it is there.
        environ: ``HANGUP_WATCH_INTERVAL=2`` and so on; several values are separated by spaces.

    Raises:
        WrongSetting: what is wrong, and where.
    """
    said = _from_file(path)
    for name, kind in TYPES.items():
        text = environ.get(PREFIX + name.upper())
        if text:
            said[name] = _parsed(name, kind, text)
    said.update({name: value for name, value in options.items() if value not in (None, ())})
    return replace(Settings(), **said)


def _parsed(name: str, kind: str, text: str) -> Any:
    try:
        if kind.startswith("tuple"):
            return tuple(text.split())
        return {"float": float, "int": int, "str": str}[kind](text)
    except ValueError as error:
        raise WrongSetting(f"{PREFIX}{name.upper()}: {error}") from error


def _from_file(path: Optional[str]) -> dict[str, Any]:
    chosen = path or "pyproject.toml"
    if path is None and not os.path.exists(chosen):
        return {}
    table = _toml(chosen, required=path is not None)
    section = table.get("tool", {}).get("hangup", {}).get("watch")
    if section is None:
        section = {} if path is None else table
    if not isinstance(section, dict):
        raise WrongSetting(f"{chosen}: tool.hangup.watch is not a table")
    return {name: _checked(chosen, name, value) for name, value in section.items()}


def _toml(path: str, required: bool) -> dict[str, Any]:
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError as error:
        if not required:
            return {}
        raise WrongSetting(f"{path}: reading TOML needs Python 3.11, or pip install tomli") from error
    try:
        with open(path, "rb") as file:
            table: dict[str, Any] = tomllib.load(file)
            return table
    except (OSError, ValueError) as error:
        if not required:  # somebody else's file
            return {}
        raise WrongSetting(f"{path}: {error}") from error


def _checked(path: str, name: str, value: Any) -> Any:
    kind = TYPES.get(name)
    if kind is None:
        raise WrongSetting(f"{path}: {name!r} is no setting; they are {', '.join(TYPES)}")
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
    elif isinstance(value, bool):
        pass
    elif kind == "float" and isinstance(value, (int, float)):
        return float(value)
    elif kind == type(value).__name__:
        return value
    raise WrongSetting(f"{path}: {name} has to be {kind.replace('tuple[str, ...]', 'a list of texts')}")
