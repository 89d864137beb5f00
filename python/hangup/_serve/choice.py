"""Which server a project is for."""

from __future__ import annotations

import importlib.metadata
import re
from typing import NamedTuple, Optional

from .._init.plan import Refused
from .._init.project import Project

#: The oldest versions that work with hangup, and how they are installed.
OLDEST = {"gunicorn": (21,), "uvicorn": (0, 36), "daphne": (4,), "django": (4, 2)}
INSTALL = {"gunicorn": "gunicorn", "uvicorn": "'uvicorn[standard]'", "daphne": "daphne", "django": "django"}
SERVERS = tuple(OLDEST)


class Choice(NamedTuple):
    """A server and what it serves.

    Attributes:
        server: one of :data:`SERVERS`.
        version: as it calls itself.
        app: ``module:name``; empty for Django's own server.
        is_asgi: whether that is an ASGI application.
    """

    server: str
    version: str
    app: str
    is_asgi: bool


def choose(project: Project, server: Optional[str], app: Optional[str]) -> Choice:
    """Picks a server.

    Args:
        server: the one that is wanted, if any is.
        app: the application that is wanted, if any is; whether it is ASGI is told by the server and the project.

    Raises:
        Refused: there is no application, the server is not installed or too old, or it does not serve such ones.
    """
    if server == "django" and not project.settings:
        raise Refused("no Django project here: no manage.py that names DJANGO_SETTINGS_MODULE")
    if not (app or project.app or server == "django"):
        raise Refused("no application found here; name it: --app MODULE:NAME")
    is_asgi = _is_asgi(project, server, app)
    wanted = server or ("gunicorn" if not is_asgi else _first_installed("uvicorn", "daphne"))
    served = "" if wanted == "django" else app or (project.asgi if is_asgi else project.wsgi)
    if not served and wanted != "django":
        have, need = ("WSGI", "gunicorn") if is_asgi else ("ASGI", "uvicorn or daphne")
        raise Refused(f"{wanted} does not serve {project.app}, which is {have}: --server {need}")
    return Choice(wanted, _supported(wanted), served, is_asgi)


def _is_asgi(project: Project, server: Optional[str], app: Optional[str]) -> bool:
    if server in {"uvicorn", "daphne"}:
        return True
    if server == "gunicorn":
        return False
    if app and app in {project.asgi, project.wsgi}:
        return app == project.asgi
    return project.is_asgi


def version_of(package: str) -> Optional[str]:
    """The installed one, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_installed(*servers: str) -> str:
    return next((server for server in servers if version_of(server)), servers[0])


def _supported(server: str) -> str:
    version = version_of(server)
    if version is None:
        raise Refused(f"{server} is not installed: pip install {INSTALL[server]}")
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST[server]:
        oldest = ".".join(map(str, OLDEST[server]))
        raise Refused(
            f"{server} {version} is too old for hangup: pip install {INSTALL[server]} --upgrade (needs {oldest})"
        )
    return version
