"""Looks around: at what is asked for, else at the current folder and what starts it on this machine."""

from __future__ import annotations

import os

from ..facts import Facts, Location
from ..service import Service
from ..values import Place
from . import deployment, machine, packages
from .asked import Asked
from .files import Unreadable, read
from .project import Project, read_nginx, read_unit
from .services import add_options, service_of, shlex_or_nothing

NGINX = "etc/nginx/nginx.conf"
UNITS = "etc/systemd/system"


def gather(asked: Asked) -> Facts:
    """Reads everything.

    Raises:
        OSError: the process that is asked for does not exist, or is somebody else's.
    """
    facts = Facts(clients=asked.clients, machine=machine.read_machine(asked.pid), django=asked.django)
    only_others = not asked.paths and (asked.nginx or asked.units or asked.pid is not None)
    roots = asked.paths or (() if only_others else (os.curdir,))
    for root in roots:
        Project(root, asked, facts).read()
    if asked.pid is not None and not asked.paths:
        _sources_of(asked, facts)
    here = next((root for root in asked.paths if os.path.isdir(root)), os.curdir)
    _asked_for(asked, here, facts)
    if not asked.paths and not only_others:
        _of_this_machine(asked, here, facts)
    if asked.django and not facts.gunicorns:
        _of_this_environment(asked, facts)
    packages.add_installed(facts)
    return facts


def _sources_of(asked: Asked, facts: Facts) -> None:
    """What the folder of a process says of its application; how it was started is known better."""
    folder = machine.command_of(asked.pid)[2] if asked.pid is not None else ""
    if folder and os.path.isdir(folder):
        Project(folder, asked, facts).read()
        facts.services.clear()
        facts.units.clear()


def _asked_for(asked: Asked, root: str, facts: Facts) -> None:
    for path in asked.nginx:
        facts.looked_at.append(path)
        read_nginx(path, facts)
    for path in asked.units:
        facts.looked_at.append(path)
        read_unit(path, path, root, facts)
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
        if any(os.path.realpath(each) == here for each in where) and read_unit(path, path, root, facts):
            facts.looked_at.append(path)
    path = os.path.join(asked.system, NGINX)
    if facts.locations or not os.path.isfile(path):
        return
    own = Facts()
    addresses = _addresses(facts.services)
    locations = [each for each in read_nginx(path, own) if _is_for(each, addresses)]
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


__all__ = ["Asked", "gather"]
