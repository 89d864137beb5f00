"""Which versions: pinned by the project, else installed here."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from typing import Any

from ..facts import Facts, Package
from ..values import Place

#: Those that rules ask about.
WANTED = (
    "channels", "channels-redis", "eventlet", "flask-socketio", "gevent", "gevent-websocket", "gunicorn", "hangup",
    "python-engineio", "python-socketio", "simple-websocket", "uvicorn",
)  # fmt: skip
_LINE = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(?:\[[^\]]*\])?\s*(.*)")
_PIN = re.compile(r"={2,3}\s*v?(\d[\w.]*)")


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: enough to compare releases."""
    leading = re.match(r"\d{1,6}(?:\.\d{1,6})*", text)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()


def normal(name: str) -> str:
    """As the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(text: str, shown: str, facts: Facts) -> None:
    """A requirements file, or a list of constraints."""
    facts.requirements = facts.requirements or Place(shown)
    for number, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].strip()
        if line and not line.startswith("-"):
            _required(line, Place(shown, number), facts)


def _required(line: str, place: Place, facts: Facts) -> None:
    match = _LINE.match(line)
    if not match:
        return
    name = normal(match[1])
    facts.required.add(name)
    pin = _PIN.match(match[2].lstrip("("))
    if pin and name in WANTED:
        facts.packages[name] = Package(name, numbers(pin[1]), pin[1], place, "pinned")


def read_toml(text: str, shown: str, facts: Facts) -> None:
    """``pyproject.toml``, ``poetry.lock``, ``uv.lock`` or ``Pipfile``, where Python can read TOML."""
    loads = _toml()
    if loads is None:
        facts.notice("is not read: this Python has no tomllib", Place(shown))
        return
    try:
        tree: Any = loads(text)
    except (ValueError, RecursionError) as error:
        facts.notice(f"is no TOML: {error}", Place(shown))
        return
    lines = text.split("\n")
    for name, wanted in _in_toml(tree):
        number = next((place for place, line in enumerate(lines, 1) if name.lower() in line.lower()), 0)
        _required(f"{name} {wanted}", Place(shown, number), facts)
        facts.requirements = facts.requirements or Place(shown)


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # Python 3.11 and newer, or the package
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).loads
    return None


def _in_toml(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for package in tree.get("package", ()) if isinstance(tree.get("package"), list) else ():
        if isinstance(package, dict) and "name" in package:
            yield str(package["name"]), f"=={package.get('version', '')}"
    project = tree.get("project", {})
    for line in project.get("dependencies", ()) if isinstance(project, dict) else ():
        match = _LINE.match(str(line))
        if match:
            yield match[1], match[2]
    tool = tree.get("tool", {}) if isinstance(tree.get("tool"), dict) else {}
    poetry = tool.get("poetry", {}) if isinstance(tool.get("poetry"), dict) else {}
    for table in (poetry.get("dependencies"), tree.get("packages")):
        for name, wanted in table.items() if isinstance(table, dict) else ():
            version = wanted if isinstance(wanted, str) else ""
            yield str(name), f"=={version}" if version[:1].isdigit() else version


def add_installed(facts: Facts) -> None:
    """What is installed beside us, for what nothing is pinned for."""
    from importlib.metadata import PackageNotFoundError, version

    for name in WANTED:
        if name in facts.packages:
            continue
        try:
            text = version(name)
        except PackageNotFoundError:
            continue
        where = Place(f"{name} {text}, installed")
        facts.packages[name] = Package(name, numbers(text), text, where, "installed")


def is_requirements(shown: str) -> bool:
    """By its name; not what only tests or developers need."""
    name = os.path.basename(shown).lower()
    return bool(re.fullmatch(r"(requirements|constraints)[\w.-]*\.txt", name)) and not re.search(
        r"dev|test|doc|lint|optional", name
    )
