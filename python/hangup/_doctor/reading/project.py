"""One folder, or one file: which of the readers is for which of its files, and what becomes of the commands in them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from ..facts import Facts, Location
from ..values import Place
from . import application, deployment, packages, settings, units
from .asked import Asked
from .files import MOST_ENTRIES, Unreadable, read, walk
from .files import shown as name_of
from .nginx import Nginx, looks_like_it
from .services import DEFAULT, service_of, service_of_configuration

#: Bytes of Python that are parsed: in less than half a second.
MOST_SOURCE = 2 << 20
#: What configurations of gunicorn are called too: read as such if nothing says how it is started.
_OTHER_NAMES = ("gunicorn_config.py", "gunicorn_conf.py", "gunicorn-config.py")
_PAGES = (".html", ".htm", ".jinja", ".jinja2", ".j2")


class Project:
    """One folder, or one file."""

    def __init__(self, root: str, asked: Asked, facts: Facts) -> None:
        self._root = root if os.path.isdir(root) else os.path.dirname(root) or os.curdir
        self._only = None if os.path.isdir(root) else root
        self._asked = asked
        self._facts = facts
        self._started: list[deployment.Started] = []
        self._images: list[deployment.Image] = []
        self._composed: list[deployment.Started] = []
        self._settings: dict[str, str] = {}  # module: folder
        self._configurations: list[str] = []
        self._parsed = 0

    def read(self) -> None:
        """All of it."""
        if os.path.realpath(self._root) == os.sep:
            self._facts.notice(
                "the root of the file system is not looked through: give a folder", Place(os.sep)
            )
        for path in [self._only] if self._only else walk(self._root):
            if not path:
                self._facts.notice(f"only the first {MOST_ENTRIES} entries were looked at", Place(self._root))
                continue
            self._file(path, name_of(path))
        self._compose()
        if self._asked.command:
            place = Place("--command")
            line = self._asked.command
            self._started += deployment.read_line(
                line, place, "command", self._asked.environment, self._facts
            )
        self._services()
        for module, folder in list(self._settings.items())[:1]:
            if self._asked.with_sources and self._facts.django is None:
                self._facts.django = settings.read_settings(module, folder, self._facts)

    def _file(self, path: str, shown: str) -> None:
        name = os.path.basename(path)
        ending = os.path.splitext(name)[1]
        if name in (DEFAULT, *_OTHER_NAMES) or (ending == ".py" and "gunicorn" in name and self._only):
            self._configurations.append(path)
            self._facts.looked_at.append(shown)
            return
        wanted = (
            ending
            in (
                ".py",
                ".sh",
                ".bash",
                ".conf",
                ".ini",
                ".nginx",
                ".service",
                ".yml",
                ".yaml",
                ".toml",
                ".txt",
                ".lock",
            )
            or ending in _PAGES
            or name.startswith(("Procfile", "Dockerfile", "Containerfile", "nginx", "Pipfile"))
            or name == "package.json"
            or not ending
            or os.path.basename(os.path.dirname(path)) in ("sites-available", "sites-enabled")
        )
        if not wanted:
            return
        try:
            text = read(path)
        except Unreadable as error:
            if ending == ".service" or self._only or name.startswith(("Procfile", "Dockerfile")):
                self._facts.notice(f"cannot be read: {error}", Place(shown))
            return
        if self._of_kind(path, shown, name, ending, text):
            self._facts.looked_at.append(shown)

    def _of_kind(self, path: str, shown: str, name: str, ending: str, text: str) -> bool:
        """Reads one file. Whether it said anything."""
        facts, environment = self._facts, self._asked.environment
        if ending == ".py":
            return self._source(path, shown, text)
        if ending in _PAGES or name == "package.json":
            before = len(facts.application.clients)
            application.read_page(text, shown, facts.application)
            return len(facts.application.clients) > before
        if name.startswith("Procfile"):
            return self._take(deployment.procfile(text, shown, environment, facts), shown)
        if name.startswith(("Dockerfile", "Containerfile")):
            if deployment.is_for_development(shown):
                return False
            self._images.append(deployment.dockerfile(text, shown))
            return True
        if ending == ".service":
            return self._unit(path, shown)
        if packages.is_requirements(shown):
            packages.read_requirements(text, shown, facts)
            return True
        if name in ("pyproject.toml", "poetry.lock", "uv.lock", "Pipfile"):
            packages.read_toml(text, shown, facts)
            return True
        if ending in (".yml", ".yaml") and "compose" in name:
            self._composed.append(deployment.Started(None, Place(shown), text))  # type: ignore[arg-type]
            return not deployment.is_for_development(shown)
        if deployment.is_script(path, text) and any(
            word in text for word in ("gunicorn", "uvicorn", "daphne", "flask")
        ):
            return self._take(deployment.script(text, shown, environment, facts), shown)
        if "[program:" in text or name == "render.yaml":
            return self._take(deployment.assigned(text, shown, environment, facts), shown)
        if looks_like_it(text):
            return bool(read_nginx(path, self._facts))
        return False

    def _take(self, found: Iterator[deployment.Started], shown: str) -> bool:
        started = [] if deployment.is_for_development(shown) else list(found)
        self._started += started
        return bool(started)

    def _source(self, path: str, shown: str, text: str) -> bool:
        found = self._facts.application
        if os.path.basename(path) in ("manage.py", "asgi.py", "wsgi.py"):
            module = settings.settings_module(text)
            if module:
                below = os.path.dirname(path)
                folder = below if os.path.basename(path) == "manage.py" else os.path.dirname(below)
                self._settings.setdefault(module, folder or os.curdir)
        if os.path.basename(path) == "asgi.py":
            found.asgi_names.add(self._module(path))
        if not self._asked.with_sources or not application.is_of_interest(text):
            return False
        self._parsed += len(text)
        if self._parsed > MOST_SOURCE:
            self._facts.notice(
                f"more than {MOST_SOURCE} bytes of sources: the rest is not read", Place(self._root)
            )
            return False
        before = (len(found.servers), len(found.routes))
        try:
            application.read_source(text, shown, self._module(path), found)
        except SyntaxError as error:
            self._facts.notice(f"is not read: {error.msg or error}", Place(shown, error.lineno or 0))
        return before != (len(found.servers), len(found.routes))

    def _module(self, path: str) -> str:
        return os.path.splitext(os.path.relpath(path, self._root))[0].replace(os.sep, ".")

    def _unit(self, path: str, shown: str) -> bool:
        return read_unit(path, shown, self._root, self._facts)

    def _compose(self) -> None:
        built = False
        for each in self._composed:
            shown = each.place.file
            if not deployment.is_for_development(shown):
                images = self._images
                found = list(deployment.compose(each.kind, shown, images, {}, self._facts))
                built = built or any(one.place in [image.place for image in images] for one in found)
                self._started += found
        if not built:
            for image in self._images:
                self._started += deployment.started_by(image, {}, self._facts)

    def _services(self) -> None:
        used = set()
        for each in self._started:
            service = service_of(each.command, each.kind, each.place, self._root, self._facts)
            service.replicas, service.stop_grace = each.replicas, each.stop_grace
            if service.server == "python" and not self._facts.application.allows_werkzeug:
                continue
            self._facts.services.append(service)
        used = {os.path.abspath(each.configuration) for each in self._facts.services if each.configuration}
        known = any(each.server == "gunicorn" for each in self._facts.services)
        for path in self._configurations:
            is_likely = not (known and used) if os.path.basename(path) == DEFAULT else not known
            if os.path.abspath(path) not in used and is_likely:
                service = service_of_configuration(
                    path, self._root, self._facts, dict(self._asked.environment)
                )
                self._facts.services.append(service)


def read_nginx(path: str, facts: Facts) -> list[Location]:
    """Adds what a configuration of nginx proxies; what it adds."""
    reader = Nginx(path, facts)
    found = list(reader.locations())
    known = {location.place for location in facts.locations}
    base = max((location.server for location in facts.locations), default=0)
    for location in found:
        if location.place not in known:
            facts.locations.append(dataclasses.replace(location, server=location.server + base))
    facts.nginx_connections = facts.nginx_connections or reader.connections
    return found


def read_unit(path: str, shown: str, root: str, facts: Facts) -> bool:
    """Adds a unit, if it starts a server. Whether it does."""
    unit = units.read_unit(path, shown, facts)
    if unit is None:
        return False
    environment = units.environment_of(unit, os.path.dirname(path))
    folder = unit.value("Service", "WorkingDirectory") or ""
    found = list(units.starts(unit, environment, facts))
    for command in found:
        place = unit.where("Service", "ExecStart")
        service = service_of(command, "systemd", place, root, facts, folder if os.path.isdir(folder) else "")
        if command.by_hangup:
            service.kind = "hangup"
        service.unit = unit
        facts.services.append(service)
    if found:
        facts.units.append(unit)
    return bool(found)
