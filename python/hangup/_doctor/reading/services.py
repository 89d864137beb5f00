"""From a command to a service: gunicorn's precedence is its file, then ``GUNICORN_CMD_ARGS``, then its command line."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any, Optional

from ..facts import Facts
from ..service import Service
from ..values import UNKNOWN, Place, Value
from .commands import Command
from .configuration import OURS, read_configuration
from .files import find, shown
from .options import NUMBERS, read_options

DEFAULT = "gunicorn.conf.py"
_TARGET = re.compile(r"[\w.]+:[\w.()]+")
#: Of other servers, by the setting of gunicorn that means the same.
_OTHERS = {
    "workers": ("--workers", "-w"),
    "reload": ("--reload",),
    "ws": ("--ws",),
    "ping_interval": ("--ws-ping-interval", "--ping-interval"),
}


def service_of(
    command: Command, kind: str, place: Place, root: str, facts: Facts, folder: str = ""
) -> Service:
    """What a command starts; ``folder`` is where, if that is known."""
    service = Service(command.server, kind, place, environment=dict(command.environment))
    service.is_wrapped = command.is_wrapped
    if command.server == "gunicorn":
        _gunicorn(service, command, root, folder or root, facts)
    else:
        _other(service, command)
    return service


def service_of_configuration(path: str, root: str, facts: Facts, environment: dict[str, str]) -> Service:
    """A configuration file, if nothing is known of how gunicorn is started."""
    place = Place(shown(path))
    service = Service("gunicorn", "configuration", place, environment=environment)
    _take(service, path, root, facts)
    add_options(service, shlex_or_nothing(environment.get("GUNICORN_CMD_ARGS", "")), {}, facts)
    return service


def shlex_or_nothing(text: str) -> list[str]:
    """The words of a line; none if its quotes do not match."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _gunicorn(service: Service, command: Command, root: str, folder: str, facts: Facts) -> None:
    extra = shlex_or_nothing(service.environment.get("GUNICORN_CMD_ARGS", ""))
    try:
        given = read_options(list(command.words))
        given_before = read_options(extra)
    except ValueError as error:
        facts.notice(f"gunicorn's options could not be read: {error}", service.place)
        service.is_complete, service.hangup = False, None
        return
    where = given.get("chdir") or given_before.get("chdir")
    if where and "$" not in where:
        folder = os.path.join(folder, where)
    _find_configuration(service, given.get("config") or given_before.get("config"), folder, root, facts)
    if command.by_hangup and not service.hangup:
        service.hangup = None  # what it adds is its own business
    for words in (extra, list(command.words)):
        add_options(service, words, command.assumed, facts)


def _find_configuration(service: Service, named: Optional[str], folder: str, root: str, facts: Facts) -> None:
    if named and named.startswith("python:"):
        module = named.partition(":")[2]
        if module == OURS:
            service.hangup = True
            return
        named = module.replace(".", "/") + ".py"
    elif named and named.startswith("file:"):
        named = named.partition(":")[2]
    path = find(named or DEFAULT, folder, root) if "$" not in (named or "") else None
    if path:
        _take(service, path, root, facts)
    elif named:
        facts.notice(f"{named} is not here: what it sets is not known", service.place)
        service.is_complete, service.hangup = False, None


def _take(service: Service, path: str, root: str, facts: Facts) -> None:
    found = read_configuration(path, shown(path), root, service.environment)
    service.configuration = path
    service.settings.update(found.settings)
    service.hangup, service.lost_hook = found.hangup, found.lost_hook
    service.is_complete &= found.is_complete
    if found.problem:
        facts.notice(f"cannot be read: {found.problem.value}", found.problem.place, "HUP100")
    elif not found.is_complete:
        facts.notice("takes names from a module that is not here", Place(shown(path)))


def add_options(service: Service, words: list[str], assumed: dict[str, str], facts: Facts) -> None:
    """Adds what a command line sets; what gunicorn would not take is left out."""
    try:
        given = read_options(words)
    except ValueError:
        return
    for name, value in given.items():
        if name == "application":
            target = next((word for word in value if "$" not in word), "")
            service.application = target or service.application
            if any(word.startswith("$") for word in value):
                service.is_complete, service.hangup = False, service.hangup or None
                facts.notice("what a variable adds to its options is not known", service.place)
        elif name == "raw_env":
            service.environment.update(part.split("=", 1) for part in value if "=" in part)
        else:
            service.settings[name] = _value(name, value, service.place, assumed)


def _value(name: str, value: Any, place: Place, assumed: dict[str, str]) -> Value:
    text = value[-1] if isinstance(value, list) else value
    if isinstance(text, str) and "$" in text:
        return Value(UNKNOWN, place)
    why = assumed.get(text, "") if isinstance(text, str) else ""
    if name in NUMBERS:
        return Value(int(value) if re.fullmatch(r"\d{1,9}", value) else UNKNOWN, place, why)
    return Value(value, place, why)


def _other(service: Service, command: Command) -> None:
    words = command.words
    service.application = next((word for word in words if _TARGET.fullmatch(word)), "")
    if command.server == "python":
        service.application = words[0] if words else ""
    for name, options in _OTHERS.items():
        for place, word in enumerate(words):
            option, _, joined = word.partition("=")
            if option in options:
                text: Any = True if name == "reload" else joined or next(iter(words[place + 1 :]), "")
                service.settings[name] = _value(name, text, service.place, command.assumed)
    if any(word.startswith("$") for word in words):
        service.is_complete = False
