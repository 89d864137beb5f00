"""From a command line and a folder to the files of a service."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path
from typing import Any

from .changes import change
from .files import File, files
from .plan import Plan, Refused, named_after, shown
from .project import Project
from .versions import Versions, as_text, installed

EDITED = ("django", "flask")


def prepared(targets: list[str], project: Project, options: dict[str, Any]) -> tuple[list[File], list[str]]:
    """The files, and what a person should know about them.

    Args:
        targets: of the command line.
        options: of the command line, by name.

    Raises:
        Refused: the application is not known, or something cannot be written.
    """
    notes: list[str] = []
    found = [change(target, project) for target in targets if target in EDITED]
    found += [
        file for target in targets if target == "alerts" for file in files(target, _nobody(), _no_versions())
    ]
    rest = [target for target in targets if target not in EDITED and target != "alerts"]
    if rest:
        versions = installed({name: options[f"{name}_version"] for name in ("gunicorn", "nginx", "systemd")})
        plan = planned(project, options)
        found += [file for target in rest for file in files(target, plan, versions)]
        notes += list(_notes(rest, plan, project, versions))
    return found, notes


def _nobody() -> Plan:
    return Plan("app", "/", "/usr/bin", "app:app")


def _no_versions() -> Versions:
    return Versions((), (), ())


def planned(project: Project, options: dict[str, Any]) -> Plan:
    """The service that was asked for, with what the folder says where nothing was."""
    app, server = options["app"] or project.app, options["server"]
    if not server:
        server = "uvicorn" if app == project.asgi and project.is_asgi else "gunicorn"
    elif not options["app"]:
        app = (project.wsgi if server == "gunicorn" else project.asgi) or app
    if not app:
        raise Refused("no application found here; name it: --app MODULE:NAME")
    name = options["name"] or named_after(project.directory)
    socket = options["socket"]
    if socket is not None and options["port"]:
        raise Refused("--port or --socket, not both")
    if options["watch"] and options["watch_beside"]:
        raise Refused("--watch or --watch-beside, not both")
    if server == "uvicorn" and (options["watch"] or options["watch_beside"]):
        raise Refused("hangup watch looks after gunicorn, and not after uvicorn")
    user = options["user"]
    return Plan(
        name=name,
        directory=str(project.directory),
        programs=options["programs"] or programs(project.directory),
        app=app,
        server=server,
        user=user,
        group=options["group"] or group_of(user),
        workers=options["workers"],
        threads=options["threads"],
        clients=options["clients"],
        domains=options["domains"] or ("_",),
        port=0 if socket is not None else options["port"] or 8000,
        socket=(socket or f"/run/{name}/{server}.sock") if socket is not None else "",
        listen=options["listen"] or (443 if options["certificate"] else 80),
        certificate=options["certificate"],
        key=options["certificate_key"],
        static=options["static"],
        websockets=tuple(dict.fromkeys(options["websockets"])) or usual_paths(project),
        ping=project.ping,
        watch="main" if options["watch"] else "beside" if options["watch_beside"] else "",
        redis=project.queue if options["redis"] is None else options["redis"],
        socketio=project.socketio,
        queue=project.queue,
    )


def usual_paths(project: Project) -> tuple[str, ...]:
    """Where WebSockets are, if nobody says."""
    return ("/socket.io/",) if project.socketio else ("/ws/",) if project.channels else ()


def programs(directory: Path) -> str:
    """The folder of an application's programs: its virtual environment's, else this Python's."""
    for name in (".venv", "venv", "env"):
        if (directory / name / "bin" / "python").exists():
            return str(directory / name / "bin")
    return str(Path(sys.executable).parent)


def group_of(user: str) -> str:
    """The user's primary group, if there is such a user here; else one of the same name."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except (KeyError, ValueError):
        return user


def _notes(targets: list[str], plan: Plan, project: Project, versions: Versions) -> list[str]:
    said = []
    assumed = {"gunicorn": {"gunicorn", "docker", "render"}, "nginx": {"nginx"}, "systemd": {"systemd"}}
    for program in versions.assumed:
        if assumed[program] & set(targets):
            said.append(f"{program} is not installed here: written for {as_text(getattr(versions, program))}")
    uses = {"systemd", "docker", "compose", "render", "logrotate"} & set(targets)
    if (
        plan.is_gunicorn
        and uses
        and not ({"gunicorn"} & set(targets) or (project.directory / "gunicorn.conf.py").exists())
    ):
        said.append("it goes with gunicorn.conf.py, which is not there: hangup init gunicorn")
    if "systemd" in targets and not os.access(f"{plan.programs}/{plan.server}", os.X_OK):
        said.append(
            f"{shown(plan.programs)} has no {plan.server}: install it there, or name its folder with --programs"
        )
    if plan.is_gunicorn and project.is_asgi and plan.app != project.asgi:
        said.append(
            f"gunicorn serves HTTP alone; the WebSockets of {project.asgi} need uvicorn: --server uvicorn"
        )
    if plan.socketio and plan.workers > 1 and not plan.is_gunicorn and not project.queue:
        said.append("several workers, and no message queue: an emit reaches the clients of one worker only")
    return said
