"""Which servers a shell's command line starts, with what words."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator, Mapping

#: Commands that start the rest of their line, with how many words of their own.
_WRAPPERS = {
    "exec": 0, "env": 0, "nohup": 0, "nice": 0, "ionice": 0, "sudo": 0, "time": 0, "command": 0, "stdbuf": 0,
    "tini": 0, "dumb-init": 0, "then": 0, "do": 0, "else": 0, "{": 0, "!": 0, "eval": 0, "setsid": 0,
    "poetry": 1, "uv": 1, "pipenv": 1, "pdm": 1, "hatch": 1, "rye": 1, "newrelic-admin": 1, "su-exec": 1,
    "gosu": 1, "chpst": 0, "setpriv": 0, "ddtrace-run": 0, "opentelemetry-instrument": 0, "s6-setuidgid": 1,
}  # fmt: skip
#: Options of those that take a value.
_WITH_VALUE = ("-u", "-g", "-n", "-C", "--user", "--group", "--chdir")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh")
_SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn")
_ENDS = re.compile(r"[;&|<>()]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-=]([^}]*))?\}|(\w+|[@*]))")
_COMPUTED = re.compile(r"\$\([^()]*\)|`[^`]*`")
#: What stands for something that a shell would compute.
UNKNOWN_WORD = "$?"
BY_HANGUP = "hangup serve"
_LONGEST = 20_000


@dataclasses.dataclass(frozen=True)
class Command:
    """A server that a line starts.

    Attributes:
        words: its arguments; what is not known has a ``$`` in it.
        environment: what is set for it in the line.
        assumed: of words that come from the default of a variable: which one is taken not to be set.
        is_wrapped: whether a shell waits for it, instead of becoming it.
        by_hangup: whether ``hangup`` starts it.
    """

    server: str
    words: tuple[str, ...]
    environment: dict[str, str]
    assumed: dict[str, str]
    is_wrapped: bool = False
    by_hangup: bool = False


def commands(line: str, environment: Mapping[str, str], depth: int = 0) -> Iterator[Command]:
    """The servers that a line starts.

    Raises:
        ValueError: its quotes do not match.
    """
    if len(line) > _LONGEST or depth > 3:
        raise ValueError("too long, or too deep")
    words, assumed = _expanded(_words(_COMPUTED.sub(UNKNOWN_WORD, line)), environment)
    for part in _parts(words):
        yield from _of_part(part, dict(environment), assumed, depth)


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def _expanded(words: list[str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    assumed: dict[str, str] = {}
    result = []
    for word in words:
        unset: list[str] = []

        def value(match: re.Match[str], unset: list[str] = unset) -> str:
            name = match[1] or match[3]
            if name in environment:
                return environment[name]
            if match[2] is not None and "$" not in match[2]:
                unset.append(f"{name} is not set")
                return match[2]
            return UNKNOWN_WORD

        new = _VARIABLE.sub(value, word)
        if unset:
            assumed[new] = assumed[new.rpartition("=")[2]] = "; ".join(unset)
        # A variable that is a word of its own may be several; that it is quoted is not known any more.
        result += new.split() if word.startswith("$") and new != UNKNOWN_WORD else [new]
    return result, assumed


def _parts(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    skipping = False
    for word in words:
        if _ENDS.fullmatch(word):
            if set(word) & set("<>"):  # the word behind it is a file; one before it may be a number
                skipping = "&" not in word or word.startswith("&")
                if part and part[-1].isdigit():
                    part.pop()
                continue
            yield part
            part = []
        elif skipping:
            skipping = False
        else:
            part.append(word)
    yield part


def _of_part(
    words: list[str], environment: dict[str, str], assumed: dict[str, str], depth: int
) -> Iterator[Command]:
    started = _started(words, environment)
    while not started and "--" in words:  # what stands before it starts what stands behind it
        by_hangup = os.path.basename(words[0]) == "hangup" if words else False
        words = words[words.index("--") + 1 :]
        started = _started(words, environment)
        if started and by_hangup:
            yield Command(started[0], tuple(started[1:]), environment, assumed, by_hangup=True)
            return
    if not started:
        return
    if started[0] in _SHELLS:
        text = next((word for flag, word in zip(started[1:], started[2:]) if re.match(r"-\w*c$", flag)), "")
        for inner in commands(text, environment, depth + 1):
            yield dataclasses.replace(inner, is_wrapped=_stays(started[0], text, inner.server))
        return
    by_hangup = started[1:2] == [BY_HANGUP]
    yield Command(started[0], tuple(started[1 + by_hangup :]), environment, assumed, by_hangup=by_hangup)


def _stays(shell: str, text: str, server: str) -> bool:
    """Whether a shell waits for what it starts: bash becomes the last command of a line, dash only an only one."""
    if re.search(rf"\bexec\s[^;&|]*{server}", text):
        return False
    behind = text.rpartition(server)[2] if shell in ("bash", "zsh") else text
    return bool(re.search(r"[;&|]", re.sub(r"\d?>&\d?", "", behind)))


def _started(words: list[str], environment: dict[str, str]) -> list[str]:
    """The program, by its plain name, and its arguments; nothing if it is none that matters."""
    place = 0
    while place < len(words):
        word = words[place]
        assignment = _ASSIGNMENT.fullmatch(word)
        name = os.path.basename(word)
        if assignment:
            environment[assignment[1]] = assignment[2]
            place += 1
        elif name in _WRAPPERS:
            place += 1 + _WRAPPERS[name]
            while place < len(words) and words[place].startswith("-") and words[place] != "--":
                place += 2 if words[place] in _WITH_VALUE else 1
        else:
            break
    rest = words[place:]
    if not rest:
        return []
    name = os.path.basename(rest[0])
    if name in _SERVERS or name in _SHELLS:
        return [name, *rest[1:]]
    if name == "hangup" and rest[1:2] == ["serve"]:
        return _served(rest[2:])
    if name == "flask" and "run" in rest:
        return ["flask run", *rest[1:]]
    if re.fullmatch(r"python[\d.]*", name):
        return _python(rest[1:])
    if name == "manage.py":
        return _python(rest)
    return []


def _served(words: list[str]) -> list[str]:
    """What ``hangup serve`` starts, if that is said."""
    given = dict(zip(words, words[1:]))
    given.update(word.partition("=")[::2] for word in words if word.startswith("--") and "=" in word)
    server = given.get("--server", "")
    more = words[words.index("--") + 1 :] if "--" in words else []
    return [server, BY_HANGUP, *filter(None, [given.get("--app")]), *more] if server in _SERVERS else []


def _python(words: list[str]) -> list[str]:
    while words and words[0].startswith("-") and words[0] != "-m":
        words = words[1:]
    if words[:1] == ["-m"] and len(words) > 1:
        if words[1] in _SERVERS:
            return words[1:]
        return ["flask run", *words[2:]] if words[1] == "flask" and "run" in words else []
    if words[:1] and os.path.basename(words[0]) == "manage.py" and "runserver" in words:
        return ["runserver", *words[1:]]
    return ["python", *words] if words and words[0].endswith(".py") else []


def joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file whose lines go on behind a backslash: each with the number of its first."""
    pending = ""
    first = 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if pending and line.lstrip().startswith("#"):
            continue
        first = first if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        yield first, pending + line
        pending = ""
    if pending:
        yield first, pending
