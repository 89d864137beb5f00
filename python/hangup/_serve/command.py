"""The command line of a server with hangup in it.

How
    Each server is turned on the way that its page in ``docs/`` says: gunicorn by its configuration, uvicorn by the
    implementation of its WebSockets, daphne by :class:`hangup.asgi.Hangup` around the application, Django's own by
    ``hangup.django`` in the settings, which are the project's to change.
"""

from __future__ import annotations

import ast
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple, Optional

from .._init.plan import Refused
from .._init.sources import parse, text_of
from .._init.syntax import literal
from .choice import Choice

#: Where :mod:`.chained` finds the configuration that it adds to, and :mod:`.application` the application.
CONFIGURATION = "HANGUP_SERVE_CONFIG"
APPLICATION = "HANGUP_SERVE_APP"

NATIVE = "hangup.uvicorn:WebSocketProtocol"
_CHAINED = str(Path(__file__).with_name("chained.py"))


class Place(NamedTuple):
    """Where a server listens.

    Attributes:
        host, port: on a network interface.
        socket: the path of a Unix socket instead, or empty.
        is_given: whether somebody asked for it; else a configuration file may know better.
    """

    host: str
    port: int
    socket: str = ""
    is_given: bool = False


class Command(NamedTuple):
    """What is started.

    Attributes:
        arguments: the program and its arguments.
        environment: what is added to the environment.
        place: where it will listen, or None if a configuration file says.
    """

    arguments: list[str]
    environment: dict[str, str]
    place: Optional[Place]

    @property
    def line(self) -> str:
        """For a shell."""
        return " ".join(
            [
                *(f"{key}={shlex.quote(value)}" for key, value in self.environment.items()),
                shlex.join(self.arguments),
            ]
        )


def command(
    choice: Choice, place: Place, directory: Path, extra: list[str], *, reload: bool = False
) -> Command:
    """The command line of a server.

    Args:
        extra: arguments of the server's own, which win.
        reload: whether it restarts when the source changes.

    Raises:
        Refused: the configuration file that is named cannot be read.
    """
    python = [sys.executable, "-m"]
    if choice.server == "gunicorn":
        return _gunicorn(choice, place, directory, extra, reload)
    if choice.server == "uvicorn":
        where = ["--uds", place.socket] if place.socket else ["--host", place.host, "--port", str(place.port)]
        native = [] if _option(extra, "--ws") else ["--ws", NATIVE]
        factory = ["--factory"] if choice.app.endswith("()") else []
        again = ["--reload"] if reload else []
        words = [*native, *where, *factory, *again, *extra, choice.app.replace("()", "")]
        return Command([*python, "uvicorn", *words], {}, place)
    if choice.server == "daphne":
        if reload:
            raise Refused("daphne does not reload; --server django does")
        where = ["-u", place.socket] if place.socket else ["-b", place.host, "-p", str(place.port)]
        words = [*where, *extra, "hangup._serve.application:application"]
        return Command([*python, "daphne", *words], {APPLICATION: choice.app}, place)
    if place.socket:
        raise Refused("Django's own server listens at no Unix socket")
    host = f"[{place.host}]" if ":" in place.host else place.host
    words = [f"{host}:{place.port}", *([] if reload else ["--noreload"]), *extra]
    return Command([sys.executable, str(directory / "manage.py"), "runserver", *words], {}, place)


def _gunicorn(choice: Choice, place: Place, directory: Path, extra: list[str], reload: bool) -> Command:
    told = shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))
    named, extra = _without(extra, "-c", "--config")
    named = named or _option(told, "-c", "--config")
    if not named and (directory / "gunicorn.conf.py").is_file():
        named = "gunicorn.conf.py"
    names = _assigned(named, directory) if named else {}
    worker = _option([*told, *extra], "-k", "--worker-class") or names.get("worker_class")
    if worker == "eventlet" and int(choice.version.partition(".")[0]) >= 26:
        raise Refused(f"gunicorn {choice.version} has no eventlet worker: hangup migrate eventlet")
    environment: dict[str, str] = {}
    words: list[str] = []
    if not named or named == "python:hangup.gunicorn":
        words += ["-c", "python:hangup.gunicorn"]
    elif "hangup.gunicorn" in names:
        words += ["-c", named]
    else:
        words += ["-c", _CHAINED]
        environment[CONFIGURATION] = named if named.startswith("python:") else str(_path(named, directory))
    known = {*names, *_options_of(extra), *_options_of(told)}
    if not {"worker_class", "-k", "--worker-class", "threads", "--threads"} & known:
        words += ["-k", "gthread", "--threads", "16"]
    bound = bool({"bind", "-b", "--bind"} & known)
    if place.is_given or not bound:
        host = f"[{place.host}]" if ":" in place.host else place.host
        words += ["-b", f"unix:{place.socket}" if place.socket else f"{host}:{place.port}"]
    if reload:
        words.append("--reload")
    return Command(
        [sys.executable, "-m", "gunicorn", *words, *extra, choice.app],
        environment,
        place if place.is_given or not bound else None,
    )


def _options_of(words: list[str]) -> set[str]:
    found = {word.partition("=")[0] for word in words if word.startswith("-")}
    return found | {word[:2] for word in words if word.startswith("-") and not word.startswith("--")}


def _option(words: list[str], *names: str) -> str:
    """The value of an option, or an empty string."""
    return _without(words, *names)[0]


def _without(words: list[str], *names: str) -> tuple[str, list[str]]:
    """An option's value, the last one, and the other words."""
    value, rest, waiting = "", [], False
    for word in words:
        name, equals, after = word.partition("=")
        if waiting:
            value, waiting = word, False
        elif word in names:
            waiting = True
        elif name in names and equals:
            value = after
        elif word[:2] in names and not word.startswith("--"):
            value = word[2:]
        else:
            rest.append(word)
    return value, rest


def _path(named: str, directory: Path) -> Path:
    return directory / (named[len("file:") :] if named.startswith("file:") else named)


def _assigned(named: str, directory: Path) -> dict[str, object]:
    """What a configuration file sets, as far as it can be read; ``"hangup.gunicorn"`` is there if it is used."""
    if named.startswith("python:"):
        path = directory / Path(*named[len("python:") :].split(".")).with_suffix(".py")
        text = text_of(path)
        if text is None:
            return {}
    else:
        path = _path(named, directory)
        text = text_of(path)
        if text is None:
            raise Refused(f"{named!a}: is no file that can be read")
    source = parse(path, text)
    if source is None:
        raise Refused(f"{named!a}: is not Python")
    found: dict[str, object] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign):
            found.update({ast.unparse(target): literal(node.value) for target in node.targets})
        elif _turns_hangup_on(node):
            found["hangup.gunicorn"] = True
    return found


def _turns_hangup_on(node: ast.AST) -> bool:
    """The two ways of a configuration file; one that only imports the module is added to."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "hangup.gunicorn" and any(alias.name == "*" for alias in node.names)
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {
        "hangup.gunicorn.install",
        "gunicorn.install",
    }
