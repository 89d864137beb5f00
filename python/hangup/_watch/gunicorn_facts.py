"""What can be known of a gunicorn's settings from outside: its command line, its environment, plain assignments in its
configuration file. A value that is computed there is not known; the file is read, never run.
"""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Iterable
from typing import Any

_OPTIONS = {
    "-t": "timeout", "--timeout": "timeout", "--graceful-timeout": "graceful_timeout", "-b": "bind",
    "--bind": "bind", "-p": "pidfile", "--pid": "pidfile", "-c": "config", "--config": "config",
}  # fmt: skip
_NUMBERS = ("timeout", "graceful_timeout")
#: It sets neither.
_OURS = "python:hangup.gunicorn"
_LARGEST_FILE = 1 << 20


def facts(words: list[str], environ: dict[str, str], directory: str) -> dict[str, Any]:
    """Of ``timeout``, ``graceful_timeout``, ``bind`` (a list) and ``pidfile``, those that are known.

    A default holds only where nothing can have changed it.

    Args:
        words: the command line.
        environ: of the gunicorn.
        directory: where it was started.
    """
    line = _from_words(words)
    from_environment = _from_words(_split(environ.get("GUNICORN_CMD_ARGS", "")))
    config = [*line.get("config", []), *from_environment.get("config", []), "gunicorn.conf.py"][0]
    found: dict[str, Any] = {"bind": _default_bind(environ), "timeout": 30.0, "graceful_timeout": 30.0}
    found.update(_from_config(config, directory))
    for source in (from_environment, line):
        for name, values in source.items():
            found[name] = values if name == "bind" else values[-1]
    for name in _NUMBERS:
        try:
            found[name] = float(found[name])
        except (TypeError, ValueError):
            del found[name]
    binds = found["bind"]
    found["bind"] = list(binds) if isinstance(binds, (list, tuple)) else [str(binds)]
    return found


def ports(binds: Iterable[Any]) -> list[int]:
    """The TCP ports among addresses as gunicorn takes them."""
    found = []
    for bind in binds:
        text = str(bind)
        host, colon, port = text[text.find("://") + 3 if "://" in text else 0 :].rpartition(":")
        if host.startswith("unix") or host == "fd":
            continue
        if port.isdecimal() and int(port):
            found.append(int(port))
        elif not colon:
            found.append(8000)
    return found


def unix_paths(binds: Iterable[Any], directory: str) -> list[str]:
    """The Unix sockets among addresses."""
    paths = [str(bind)[len("unix:") :] for bind in binds if str(bind).startswith("unix:")]
    return [os.path.join(directory, path[2:] if path.startswith("//") else path) for path in paths]


def _default_bind(environ: dict[str, str]) -> str:
    return f"0.0.0.0:{environ['PORT']}" if environ.get("PORT") else "127.0.0.1:8000"


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _from_words(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, value = word.partition("=")
        if name in _OPTIONS and (equals or following):
            found.setdefault(_OPTIONS[name], []).append(value if equals else following)
        elif word[:2] in _OPTIONS and len(word) > 2 and not word.startswith("--"):
            found.setdefault(_OPTIONS[word[:2]], []).append(word[2:])
    return found


def _from_config(config: str, directory: str) -> dict[str, Any]:
    """What a configuration says; a setting that it may compute is None."""
    if config.startswith("python:"):
        return {} if config == _OURS else dict.fromkeys(_NUMBERS)
    path = os.path.join(directory, config.partition("file:")[2] or config)
    try:
        if os.path.getsize(path) > _LARGEST_FILE:
            return dict.fromkeys(_NUMBERS)
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return dict.fromkeys(_NUMBERS)
    return _from_tree(tree)


def _from_tree(tree: ast.Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    plain = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in _OPTIONS.values():
                plain.add(id(node.targets[0]))
                found[name] = _literal(node.value)
    for part in ast.walk(tree):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and id(part) not in plain:
            found.update({part.id: None} if part.id in _NUMBERS else {})
        if (
            isinstance(part, ast.ImportFrom)
            and part.names[0].name == "*"
            and part.module != "hangup.gunicorn"
        ):
            found.update(dict.fromkeys(_NUMBERS))
    return {name: value for name, value in found.items() if value is not None or name in _NUMBERS}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
