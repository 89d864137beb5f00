"""Procfile, Dockerfile, compose files, start scripts: the commands in them."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from ..facts import Facts
from ..values import Place, Value
from .commands import Command, commands, joined

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


class Started(NamedTuple):
    """A command, where it is written, and how its container is set up."""

    command: Command
    place: Place
    kind: str
    replicas: int = 1
    stop_grace: Optional[Value] = None


def read_line(
    line: str, place: Place, kind: str, environment: Mapping[str, str], facts: Facts
) -> Iterator[Started]:
    """The servers of one line; one that cannot be read is a notice."""
    try:
        found = list(commands(line, environment))
    except ValueError as error:
        if any(server in line for server in ("gunicorn", "uvicorn", "daphne")):
            facts.notice(f"a command could not be read: {error}", place)
        return
    for command in found:
        yield Started(command, place, kind)


def procfile(text: str, shown: str, environment: Mapping[str, str], facts: Facts) -> Iterator[Started]:
    """``name: command``."""
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, command = line.partition(":")
        if colon and re.fullmatch(r"[\w-]+", name.strip()):
            yield from read_line(command, Place(shown, number), "procfile", environment, facts)


def assigned(text: str, shown: str, environment: Mapping[str, str], facts: Facts) -> Iterator[Started]:
    """``command=`` of supervisor, ``startCommand:`` of Render."""
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r"\s*(?:command\s*=|startCommand\s*:)\s*(.+)", line)
        if found:
            yield from read_line(found[1], Place(shown, number), "procfile", environment, facts)


def script(text: str, shown: str, environment: Mapping[str, str], facts: Facts) -> Iterator[Started]:
    """A shell script: what it assigns plainly is known to what follows."""
    known = dict(environment)
    for number, line in joined(text):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        assigned = re.fullmatch(
            r"(?:export\s+)?([A-Za-z_]\w*)=(\"[^\"$`]*\"|'[^']*'|[^\s\"'$`;|&()]*)", stripped
        )
        if assigned:
            known[assigned[1]] = assigned[2].strip("\"'")
        else:
            yield from read_line(stripped, Place(shown, number), "script", known, facts)


class Image(NamedTuple):
    """What a Dockerfile starts: a line, and the environment that it sets."""

    line: str
    place: Place
    environment: dict[str, str]


def dockerfile(text: str, shown: str) -> Image:
    """The command of the last stage, as ``ENTRYPOINT`` and ``CMD`` make it."""
    known: dict[str, str] = {}
    entry: list[str] = []
    command: list[str] = []
    place = Place(shown)
    for number, line in joined(text):
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word.upper() == "FROM":
            known, entry, command = {}, [], []
        elif word.upper() == "ENV":
            known.update(_assigned(rest))
        elif word.upper() == "ENTRYPOINT":
            entry, command, place = _exec_form(rest), [], Place(shown, number)
        elif word.upper() == "CMD":
            command, place = _exec_form(rest), Place(shown, number)
    return Image(" ".join([*entry, *command]), place, known)


def started_by(image: Image, environment: Mapping[str, str], facts: Facts) -> list[Started]:
    """The servers of an image; the environment overrules its own."""
    known = {**image.environment, **environment}
    return list(read_line(image.line, image.place, "container", known, facts))


def _exec_form(text: str) -> list[str]:
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return [_quoted(str(word)) for word in words] if isinstance(words, list) else [text]


def _quoted(word: str) -> str:
    """As a shell would have to be told; variables are left to be replaced, as those of compose are."""
    return word if re.fullmatch(r"[\w$@%+=:,./{}-]+", word) else shlex.quote(word)


def _assigned(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words if "=" in word)


def compose(
    text: str, shown: str, images: list[Image], environment: Mapping[str, str], facts: Facts
) -> Iterator[Started]:
    """The services of a compose file; ``images`` are those of the Dockerfiles, for what is built here."""
    try:
        import yaml
    except ImportError:
        facts.notice("needs PyYAML to be read: pip install 'hangup[cli]'", Place(shown))
        return
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        tree = yaml.compose(text, Loader=loader)
        services = _child(tree, "services")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        facts.notice(f"is no YAML: {str(error).splitlines()[0]}", Place(shown))
        return
    for _, service in _items(services):
        yield from _of_service(service, shown, images, environment, facts)


def _of_service(
    service: Any, shown: str, images: list[Image], environment: Mapping[str, str], facts: Facts
) -> Iterator[Started]:
    own = {**_environment(_child(service, "environment"))}
    replicas = _text(_child(_child(service, "deploy"), "replicas"))
    grace = _child(service, "stop_grace_period")
    place = Place(shown, service.start_mark.line)
    given = Value(_seconds(_text(grace)) if grace is not None else 10.0, _place(grace, shown) or place)
    count = int(replicas) if replicas.isdigit() and len(replicas) < 5 else 1
    parts = [_child(service, name) for name in ("entrypoint", "command")]
    line = " ".join(filter(None, map(_command, parts)))
    if line:
        where = next((_place(part, shown) for part in reversed(parts) if part is not None), None) or place
        found = list(read_line(line, where, "container", {**environment, **own}, facts))
    elif _child(service, "build") is not None:
        found = [each for image in images for each in started_by(image, own, facts)]
    else:
        return
    for each in found:
        yield each._replace(replicas=count, stop_grace=given)


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    for key, value in getattr(node, "value", ()) if getattr(node, "id", "") == "mapping" else ():
        if _text(key) == "<<":
            for merged in value.value if value.id == "sequence" else [value]:
                if merged is not node and merged.id == "mapping":
                    yield from ((_text(name), part) for name, part in merged.value)
        else:
            yield _text(key), value


def _child(node: Any, name: str) -> Any:
    found = None
    for key, value in _items(node):
        if key == name:
            found = value
    return found


def _text(node: Any) -> str:
    return str(node.value) if getattr(node, "id", "") == "scalar" else ""


def _place(node: Any, shown: str) -> Optional[Place]:
    return None if node is None else Place(shown, node.start_mark.line + 1)


def _command(node: Any) -> str:
    if getattr(node, "id", "") == "sequence":
        return " ".join(_quoted(_text(part)) for part in node.value)
    return _text(node)


def _environment(node: Any) -> dict[str, str]:
    if getattr(node, "id", "") == "sequence":
        return dict(_text(part).split("=", 1) for part in node.value if "=" in _text(part))
    return {name: _text(value) for name, value in _items(node)}


def _seconds(text: str) -> Optional[float]:
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def is_for_development(shown: str) -> bool:
    """Whether a file's name, without its folder's, says that it is not what runs in production."""
    name = os.path.basename(shown).lower()
    return bool(re.search(r"(^|[._-])(dev|develop|development|local|override|debug|test)([._-]|$)", name))


def is_script(path: str, text: str) -> bool:
    """A shell script, by its name or its first line."""
    return path.endswith((".sh", ".bash")) or (
        not os.path.splitext(path)[1] and bool(re.match(r"#!.*\b(ba|da|a|z)?sh\b", text[:80]))
    )
