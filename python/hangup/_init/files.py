"""The files of each target, from the templates beside this module."""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from . import plan as figures
from . import quoting
from .plan import Plan, Refused
from .sources import text_of
from .versions import Versions, as_text

#: What can be written without editing an application, and what it is, for people.
TARGETS = {
    "gunicorn": "gunicorn.conf.py: workers, threads, timeouts, logs, hangup's hooks",
    "nginx": "a site: upgrades, timeouts and connections that fit the server's",
    "systemd": "a unit: readiness, limits, restarts that back off; --watch adds the recovery service",
    "logrotate": "rotation of gunicorn's logs, without losing a line",
    "docker": "Dockerfile and .dockerignore: an init, no root, a health check",
    "compose": "compose.yaml with nginx in front; --redis adds a message queue",
    "render": "render.yaml for render.com",
    "django": "what settings.py has to gain, as a diff",
    "flask": "what the module of the application has to gain, as a diff",
    "alerts": "rules for Prometheus",
}

_FILES = {
    "gunicorn": {"gunicorn.conf.py": "gunicorn.conf.py.j2"},
    "nginx": {"{name}.nginx.conf": "nginx.site.j2"},
    "logrotate": {"{name}.logrotate": "logrotate.j2"},
    "docker": {"Dockerfile": "Dockerfile.j2", ".dockerignore": "dockerignore.j2"},
    "compose": {"compose.yaml": "compose.yaml.j2", "nginx.conf": "nginx.conf.j2"},
    "render": {"render.yaml": "render.yaml.j2"},
    "alerts": {"hangup.rules.yml": "hangup.rules.yml"},
}


TEMPLATES = Path(__file__).parent / "templates"


class File(NamedTuple):
    """What is to be written.

    Attributes:
        target: which it belongs to.
        path: below the folder that is written to, or absolute.
        text: all of it.
    """

    target: str
    path: Path
    text: str


def files(target: str, plan: Plan, versions: Versions) -> list[File]:
    """Those of a target, apart from ``django`` and ``flask``.

    Raises:
        Refused: there is nothing to write for such a service.
    """
    if target in {"gunicorn", "logrotate"} and not plan.is_gunicorn:
        reason = {"gunicorn": "has its options in its command line", "logrotate": "logs to the journal"}[
            target
        ]
        raise Refused(
            f"{plan.app} is served by uvicorn, which {reason}; --server gunicorn is for the WSGI application"
        )
    named = _systemd(plan) if target == "systemd" else _FILES[target]
    return [
        File(target, Path(path.format(name=plan.name)), _rendered(template, plan, versions))
        for path, template in named.items()
    ]


def _systemd(plan: Plan) -> dict[str, str]:
    named = {"{name}.service": "service.j2"}
    return {**named, "{name}-watch.service": "watch.service.j2"} if plan.watch == "beside" else named


def _rendered(template: str, plan: Plan, versions: Versions) -> str:
    if not template.endswith(".j2"):
        return (TEMPLATES / template).read_text("utf-8")
    filled: str = _environment().get_template(template).render(
        plan=plan, versions=versions, text=as_text, figures=figures,
        words=arguments(plan, ["--uds", plan.socket] if plan.socket else _at("127.0.0.1", plan.port)),
        container=arguments(plan, _at("0.0.0.0", plan.port or 8000)), platform=arguments(plan, _at("0.0.0.0", "$PORT")),
        ipv6=os.path.exists("/proc/net/if_inet6"), here=_here(plan, versions),
    )  # fmt: skip
    return filled


@functools.cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    for name in ("python", "nginx", "unit", "program", "argument", "yaml"):
        environment.filters[name] = getattr(quoting, name)
    return environment


def arguments(plan: Plan, place: list[str]) -> list[str]:
    """Of the server's command line, without its program. gunicorn finds its place in gunicorn.conf.py."""
    if plan.is_gunicorn:
        return ["-c", "gunicorn.conf.py"]
    factory = ["--factory"] if plan.app.endswith("()") else []
    workers = ["--workers", str(plan.workers)] if plan.workers > 1 else []
    patience = [
        "--timeout-keep-alive",
        str(figures.KEEPALIVE),
        "--timeout-graceful-shutdown",
        str(figures.GRACEFUL),
    ]
    return [
        "--ws", "hangup.uvicorn:WebSocketProtocol", *place, *workers, *patience, *factory, plan.app.replace("()", ""),
    ]  # fmt: skip


def _at(host: str, port: object) -> list[str]:
    return ["--host", host, "--port", str(port)]


def _here(plan: Plan, versions: Versions) -> dict[str, object]:
    """What stands in the application's folder, and which Python this is."""
    requirements = text_of(Path(plan.directory) / "requirements.txt")
    listed = {line.lower() for line in re.findall(r"(?m)^\s*([A-Za-z0-9_-]+)", requirements or "")}
    server = f"'gunicorn=={as_text(versions.gunicorn)}'" if plan.is_gunicorn else "'uvicorn[standard]>=0.36'"
    wanted = {plan.server: server, "hangup": "hangup"}
    major, minor = max(sys.version_info[:2], (3, 10))
    return {
        "requirements": requirements is not None,
        "missing": " ".join(spelled for name, spelled in wanted.items() if name not in listed),
        "python": f"{major}.{minor}",
    }
