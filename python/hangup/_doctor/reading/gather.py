"""Looks around: at what is asked for, else at the current folder and what starts it on this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Optional

from ..facts import Django, Facts, Location
from ..service import Service
from ..values import Place
from . import application, deployment, machine, packages, settings, units
from .files import MOST_ENTRIES, Unreadable, read, walk
from .files import shown as name_of
from .nginx import Nginx, looks_like_it
from .services import DEFAULT, add_options, service_of, service_of_configuration, shlex_or_nothing

NGINX = "etc/nginx/nginx.conf"
UNITS = "etc/systemd/system"
#: Bytes of Python that are parsed: in less than half a second.
MOST_SOURCE = 2 << 20
#: What configurations of gunicorn are called too: read as such if nothing says how it is started.
_OTHER_NAMES = ("gunicorn_config.py", "gunicorn_conf.py", "gunicorn-config.py")
_PAGES = (".html", ".htm", ".jinja", ".jinja2", ".j2")


@dataclasses.dataclass
class Asked:
    """What to look at.

    Attributes:
        paths: folders of projects, or single files; none: the current folder, and this machine's nginx and units as
            far as they are about it.
        pid: a running server.
        nginx: configurations of nginx.
        units: units of systemd.
        command: a command line that starts the server.
        environment: what services are started with that bring no environment of their own.
        clients: how many clients are expected at once.
        system: the root of the machine's own files.
        with_sources: whether the application's sources are read; its deployment is in any case.
        django: the settings of this process, if it is Django's.
    """

    paths: tuple[str, ...] = ()
    pid: Optional[int] = None
    nginx: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    command: Optional[str] = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ))
    clients: int = 100
    system: str = "/"
    with_sources: bool = True
    django: Optional[Django] = None


def gather(asked: Asked) -> Facts:
    """Reads everything.

    Raises:
        OSError: the process that is asked for does not exist, or is somebody else's.
    """
    facts = Facts(clients=asked.clients, machine=machine.read_machine(asked.pid), django=asked.django)
    only_others = not asked.paths and (asked.nginx or asked.units or asked.pid is not None)
    roots = asked.paths or (() if only_others else (os.curdir,))
    for root in roots:
        _Project(root, asked, facts).read()
    here = next((root for root in asked.paths if os.path.isdir(root)), os.curdir)
    _asked_for(asked, here, facts)
    if not asked.paths and not only_others:
        _of_this_machine(asked, here, facts)
    if asked.django and not facts.gunicorns:
        _of_this_environment(asked, facts)
    packages.add_installed(facts)
    return facts


class _Project:
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
            return bool(_read_nginx(path, self._facts))
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
        return _read_unit(path, shown, self._root, self._facts)

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


def _read_nginx(path: str, facts: Facts) -> list[Location]:
    reader = Nginx(path, facts)
    found = list(reader.locations())
    known = {location.place for location in facts.locations}
    base = max((location.server for location in facts.locations), default=0)
    for location in found:
        if location.place not in known:
            facts.locations.append(dataclasses.replace(location, server=location.server + base))
    facts.nginx_connections = facts.nginx_connections or reader.connections
    return found


def _read_unit(path: str, shown: str, root: str, facts: Facts) -> bool:
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


def _asked_for(asked: Asked, root: str, facts: Facts) -> None:
    for path in asked.nginx:
        facts.looked_at.append(path)
        _read_nginx(path, facts)
    for path in asked.units:
        facts.looked_at.append(path)
        _read_unit(path, path, root, facts)
    if asked.pid is not None:
        _running(asked.pid, root, facts)


def _running(pid: int, root: str, facts: Facts) -> None:
    """The service that a process is."""
    import shlex

    words, environment, folder = machine.command_of(pid)
    place = Place(f"/proc/{pid}/cmdline")
    facts.looked_at.append(f"process {pid}")
    line = shlex.join(words).replace("$", "")
    for each in deployment.read_line(line, place, "process", environment, facts):
        facts.services.append(service_of(each.command, "process", place, folder or root, facts, folder))
    if not any(service.kind == "process" for service in facts.services):
        facts.notice("its command line does not say how it was started: give --command", place)


def _of_this_environment(asked: Asked, facts: Facts) -> None:
    """What is to be started with this environment is gunicorn, if there are options for it."""
    known = [name for name in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY") if asked.environment.get(name)]
    if known:
        service = Service("gunicorn", "environment", Place(known[0]), environment=dict(asked.environment))
        service.is_complete, service.hangup = False, None
        add_options(service, shlex_or_nothing(asked.environment.get("GUNICORN_CMD_ARGS", "")), {}, facts)
        facts.services.append(service)


def _of_this_machine(asked: Asked, root: str, facts: Facts) -> None:
    """What of this machine's nginx and systemd is about the current folder."""
    folder = os.path.join(asked.system, UNITS)
    here = os.path.realpath(root)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".service"))
    except OSError:
        names = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            text = read(path)
        except Unreadable:
            continue
        where = [
            line.partition("=")[2].strip()
            for line in text.split("\n")
            if line.startswith("WorkingDirectory=")
        ]
        if any(os.path.realpath(each) == here for each in where) and _read_unit(path, path, root, facts):
            facts.looked_at.append(path)
    path = os.path.join(asked.system, NGINX)
    if facts.locations or not os.path.isfile(path):
        return
    own = Facts()
    addresses = _addresses(facts.services)
    locations = [each for each in _read_nginx(path, own) if _is_for(each, addresses)]
    if locations:
        facts.locations += locations
        facts.nginx_connections = own.nginx_connections
        facts.notices += own.notices
        facts.looked_at.append(path)


def _addresses(services: list[Service]) -> set[str]:
    found = set()
    for service in services:
        for bind in service.setting("bind").value or ():
            found.add(str(bind).replace("0.0.0.0", "127.0.0.1").replace("localhost", "127.0.0.1"))
    return found


def _is_for(location: Location, addresses: set[str]) -> bool:
    servers = location.upstream.servers if location.upstream else (location.target.partition("://")[2],)
    for server in servers:
        plain = server.partition("/")[0] if not server.startswith("unix:") else server
        if plain.replace("localhost", "127.0.0.1").rstrip(":/") in addresses:
            return True
    return False
