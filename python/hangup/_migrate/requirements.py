"""Lists of packages: eventlet goes, what was held back for it is let go, hangup comes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

from .findings import Finding

#: What hangup knows of gunicorn.
GUNICORN = ">=21.2,<28"
OLDEST_SOCKETIO = (5, 10)

_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?\s*(?P<pin>[^;#\s][^;#]*?)?\s*(?P<rest>[;#].*)?"
)


def is_list(path: Path) -> bool:
    """Whether a file is one of pip's: ``requirements.txt``, ``requirements/base.in``, ``constraints.txt``."""
    if path.suffix not in {".txt", ".in"}:
        return False
    return (
        path.name.startswith(("requirements", "constraints"))
        or "requirements" in path.parts[:-1]
        or path.stem.endswith("requirements")
    )


def rewritten(text: str, *, uses_dns: bool) -> str:
    """A list without eventlet, or the same text if it has none.

    Args:
        uses_dns: whether the application imports dnspython itself.
    """
    lines = _joined(text)
    names = {_name(line) for line in lines}
    if "eventlet" not in names and not any(
        "eventlet" in line.lower() and _name(line) == "gunicorn" for line in lines
    ):
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    kept = []
    for line in lines:
        name = _name(line)
        if name == "eventlet" or (name == "dnspython" and not uses_dns):
            continue
        kept.append(_let_go(line, newline) if name in {"gunicorn", "dnspython"} else line)
    if "hangup" not in names:
        if kept and not kept[-1].endswith("\n"):
            kept[-1] += newline
        kept.append(f"hangup{newline}")
    return "".join(kept)


def _joined(text: str) -> list[str]:
    """Lines, with those that continue them: hashes stand on their own."""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if lines and lines[-1].rstrip("\r\n").endswith("\\"):
            lines[-1] += line
        else:
            lines.append(line)
    return lines


def _read(line: str) -> Optional[re.Match[str]]:
    """A requirement, without the hashes on the lines after it; None for options, comments and what is none."""
    return _REQUIREMENT.fullmatch(re.split(r"\\\r?\n", line)[0].rstrip())


def _name(line: str) -> str:
    found = _read(line)
    return re.sub(r"[-_.]+", "-", found["name"]).lower() if found else ""


def _let_go(line: str, newline: str) -> str:
    """Without the pin that was eventlet's; a pin that allows what is needed stays."""
    found = _read(line)
    if found is None or _name(line) == "dnspython":
        return f"dnspython{newline}"
    pin = (found["pin"] or "").strip()
    holds = re.match(r"(==|~=|<|<=|===)\s*(\d+)", pin) or re.search(r",\s*(<=?)\s*(\d+)", pin)
    extras = ",".join(
        one for one in (found["extras"] or "[]")[1:-1].split(",") if one.strip() not in {"", "eventlet"}
    )
    wanted = GUNICORN if holds and int(holds[2]) <= 26 else pin
    rest = f"  {found['rest'].rstrip()}" if found["rest"] else ""
    return f"{found['name']}{f'[{extras}]' if extras else ''}{wanted}{rest}{newline}"


def too_old(path: Path, text: str) -> list[Finding]:
    """Pins of python-socketio and Flask-SocketIO that hangup cannot work with."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        pin = re.search(r"==\s*(\d+)\.(\d+)", line)
        if pin and _name(line) == "python-socketio" and (int(pin[1]), int(pin[2])) < OLDEST_SOCKETIO:
            found.append(
                Finding("blocker", path, number, line.strip(), "hangup needs python-socketio 5.10 or newer")
            )
        elif pin and _name(line) == "flask-socketio" and int(pin[1]) < 5:
            found.append(
                Finding("blocker", path, number, line.strip(), "hangup needs Flask-SocketIO 5.3 or newer")
            )
    return found
