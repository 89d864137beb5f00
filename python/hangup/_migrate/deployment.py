"""Command lines: of Procfiles, images, units, compose files and scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple, Optional

from .findings import THREADS
from .requirements import GUNICORN

_NAMES = re.compile(
    r"Procfile.*|Dockerfile.*|.*\.dockerfile|(docker-)?compose.*\.ya?ml|.*\.(service|sh|bash|conf|ini|env|ya?ml|toml|cfg)|"
    r"Makefile|\.env|entrypoint|start|run", re.IGNORECASE,
)  # fmt: skip

#: The option and its value, however they are separated: by a space, a ``=``, as JSON, or as a list of YAML.
QUOTES = "\"'"
_WORKER = re.compile(
    r"(?P<option>(?<![\w-])(?:-k|--worker-class))"
    r"(?P<between>\s*=\s*|[ \t]+|[ \t]*\\\r?\n[ \t]*|[\"'][ \t]*,\s*[\"']|[\"']?\r?\n[ \t]*-[ \t]*|)"
    r"(?P<quote>[\"']?)(?:eventlet|gunicorn\.workers\.geventlet\.EventletWorker)\b(?P=quote)"
)
_INSTALL = re.compile(
    r"(?m)^(?P<before>.*\bpip3?\b.*\binstall\b.*?)[ \t]+[\"']?eventlet(?:[=<>~!][^\s\"']*)?[\"']?(?P<after>.*)$"
)
_QUOTED = re.compile(r"([\"'])eventlet(?:[ \t]*[=<>~!][^\"']*)?\1")
_HELD_BACK = re.compile(r"([\"'])gunicorn(?:\[eventlet\])?\s*(?:==|~=|<=?)\s*\d[^\"']*\1")


class Start(NamedTuple):
    """A module that serves itself, with ``socketio.run``.

    Attributes:
        script: its file, as in a command line.
        app: ``module:name``.
        bind: ``host:port``, or empty where gunicorn finds out by itself.
    """

    script: str
    app: str
    bind: str


def is_deployment(path: Path) -> bool:
    """Whether a file may have a command line in it."""
    return bool(_NAMES.fullmatch(path.name))


def rewritten(path: Path, text: str, *, has_configuration: bool, starts: list[Start]) -> str:
    """With gthread where eventlet was.

    Args:
        has_configuration: whether gunicorn will find a ``gunicorn.conf.py``, which turns hangup on.
        starts: modules that may be started as scripts.
    """
    has_threads = "--threads" in text
    is_configured = has_configuration or bool(re.search(r"(?<![\w-])(-c\b|--config\b)", text))
    changed = _WORKER.sub(lambda found: _worker(found, has_threads, is_configured), text)
    changed = _INSTALL.sub(_installed, changed)
    if path.name == "pyproject.toml" and "eventlet" in text:
        changed = _HELD_BACK.sub(f'"gunicorn{GUNICORN}"', _QUOTED.sub('"hangup"', changed))
    if changed == text and "gunicorn" not in text:
        for start in starts:
            changed = _started(changed, start, has_configuration)
    return changed


def _worker(found: re.Match[str], has_threads: bool, is_configured: bool) -> str:
    option, between, quote = found["option"], found["between"], found["quote"]
    words = [option, "gthread"] + ([] if has_threads else ["--threads", THREADS])
    words += [] if is_configured else ["-c", "python:hangup.gunicorn"]
    if "=" in between or not between:  # one word
        ends = found.string[found.end() : found.end() + 1]
        if ends in {'"', "'"} and _is_a_list(found, ends):
            words = [f"{option}{between}gthread", *words[2:]]
            return f"{ends}, {ends}".join(words)
        return " ".join([f"{option}{between}{quote}gthread{quote}", *words[2:]])
    if "," in between:  # items of JSON: what separates two of them has their quotes
        return f"{option}{between}gthread" + "".join(f"{between}{word}" for word in words[2:])
    if "\n" in between and "\\" not in between:  # items of YAML, where a number would be no text
        marks = [quote or '"' * word.isdigit() for word in words[2:]]
        items = "".join(f"{between.lstrip(QUOTES)}{mark}{word}{mark}" for mark, word in zip(marks, words[2:]))
        return f"{option}{between}{quote}gthread{quote}{items}"
    return f"{option}{between}{quote}gthread{quote}" + "".join(f" {word}" for word in words[2:])


def _is_a_list(found: re.Match[str], quote: str) -> bool:
    """Whether the word is an item of JSON by itself."""
    return found.string[found.start() - 1 : found.start()] == quote


def _installed(found: re.Match[str]) -> str:
    more = "" if re.search(r"\bhangup\b", found[0]) else " hangup"
    return f"{found['before']}{more}{found['after']}"


def _started(text: str, start: Start, has_configuration: bool) -> str:
    """gunicorn in the place of ``python app.py``."""
    words = [] if has_configuration else ["-c", "python:hangup.gunicorn"]
    words += ["-k", "gthread", "--threads", THREADS, *(["-b", start.bind] if start.bind else []), start.app]
    script = re.escape(start.script)
    as_json = re.compile(rf'"(?P<where>[^"\s]*?)python3?(?:\.\d+)?"\s*,\s*(?:"-u"\s*,\s*)?"(?:\./)?{script}"')
    text = as_json.sub(lambda found: ", ".join(map(json.dumps, [f"{found['where']}gunicorn", *words])), text)
    plain = re.compile(
        rf"(?P<where>[^\s\"'=:]*?)\bpython3?(?:\.\d+)?[ \t]+(?:-u[ \t]+)?(?:\./)?{script}(?![\w.])"
    )
    return plain.sub(lambda found: " ".join([f"{found['where']}gunicorn", *words]), text)


def bind_of(host: object, port: object, *, is_environments: bool) -> str:
    """Where gunicorn listens for what ``socketio.run`` was told.

    Args:
        host, port: constants, or None where they are not.
        is_environments: whether the port is read from the environment; gunicorn does so itself.
    """
    if is_environments:
        return ""
    chosen: Optional[int] = port if isinstance(port, int) else 5000
    return f"{host if isinstance(host, str) else '127.0.0.1'}:{chosen}"
