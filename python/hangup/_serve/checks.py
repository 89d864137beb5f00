"""What a server needs before it is started."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .._gunicorn.support import NEWEST_TESTED
from .._init.project import Project
from .choice import Choice, version_of
from .command import Place

#: Seconds that an application may take to be imported; longer is said, and no reason not to start.
PATIENCE = 60


class Check(NamedTuple):
    """Something that was looked at.

    Attributes:
        name: of what.
        state: ``"ok"``, ``"note"``, or ``"failed"``: then the server is not started.
        text: for people.
    """

    name: str
    state: str
    text: str


def checks(choice: Choice, project: Project, place: Optional[Place]) -> list[Check]:
    """Everything, the cheap first; the application is imported in a process of its own."""
    found = [_version(choice)]
    if place is not None:
        found.append(_free(place))
    if any(one.state == "failed" for one in found):
        return found
    environment = dict(os.environ)
    if project.settings:
        environment.setdefault("DJANGO_SETTINGS_MODULE", project.settings)
    return [*found, *_imported(choice, _probe(choice.app, project.directory, environment))]


def _version(choice: Choice) -> Check:
    said = f"{choice.server} {choice.version}"
    if choice.server == "gunicorn" and int(choice.version.partition(".")[0]) > NEWEST_TESTED:
        return Check("server", "note", f"{said} is newer than hangup knows: it is served stock")
    if (
        choice.is_asgi
        and choice.server == "uvicorn"
        and not (version_of("websockets") or version_of("wsproto"))
    ):
        return Check("server", "note", f"{said} has no WebSockets over TLS: pip install websockets")
    return Check("server", "ok", said)


def _free(place: Place) -> Check:
    if place.socket:
        return _free_path(place.socket)
    try:
        family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        advice = "; --port 0 takes a free one" if error.errno == errno.EADDRINUSE else ""
        return Check("place", "failed", f"{place.host}:{place.port}: {error.strerror or error}{advice}")
    return Check("place", "ok", f"{place.host}:{place.port} is free")


def _free_path(path: str) -> Check:
    if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        return Check("place", "failed", f"{path}: its folder is not there, or not ours to write in")
    with (
        socket.socket(socket.AF_UNIX) as probe,
        contextlib.suppress(FileNotFoundError, ConnectionRefusedError),
    ):
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ECONNREFUSED}:
                raise
            return Check("place", "failed", f"{path}: {error.strerror or error}")
        return Check("place", "failed", f"{path}: somebody listens there")
    return Check("place", "ok", f"{path} is free")


def _probe(app: str, directory: Path, environment: dict[str, str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "hangup._serve.probe", app, str(writing)]
    try:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, pass_fds=[writing], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)
        try:
            said = _read(reading, time.monotonic() + PATIENCE)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(reading)
    if said is None:
        return {"late": True}
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        return {"error": f"the process ended with status {process.returncode}", "at": "", "missing": ""}
    return found


def _read(reading: int, deadline: float) -> Optional[bytes]:
    """Until the other side ends, or None if it does not in time."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while selector.select(max(0, deadline - time.monotonic())):
            some = os.read(reading, 65536)
            if not some:
                return said
            said += some
            with contextlib.suppress(ValueError):  # whole: children of the application may keep the pipe open
                json.loads(said)
                return said
    return None


def _imported(choice: Choice, seen: dict[str, Any]) -> list[Check]:
    what = choice.app or "the settings"
    if seen.get("late"):
        return [Check("application", "note", f"{what} takes more than {PATIENCE} s to be imported")]
    if "error" in seen:
        advice = f"; pip install the package of {seen['missing']}" if seen["missing"] else ""
        return [
            Check(
                "application", "failed", f"{what} cannot be imported: {seen['error']} ({seen['at']}){advice}"
            )
        ]
    wanted = "asgi" if choice.is_asgi else "wsgi"
    if choice.app and seen["kind"] and seen["kind"] != wanted:
        other = "uvicorn" if seen["kind"] == "asgi" else "gunicorn"
        told = f"{what} is {seen['kind'].upper()}, which {choice.server} does not serve: --server {other}"
        return [Check("application", "failed", told)]
    found = [Check("application", "ok", f"{what} can be imported")]
    if "hangup" in seen and not seen["hangup"]:
        found.append(Check("django", "note", "hangup.django is not in INSTALLED_APPS: hangup init django"))
    if seen.get("debug") and choice.server != "django":
        found.append(
            Check(
                "django",
                "note",
                "DEBUG is on: it keeps every query in memory, and tells strangers your settings",
            )
        )
    for name, count in seen.get("migrations", {}).items():
        found.append(Check("migrations", "note", f"{count} not applied to {name}: python manage.py migrate"))
    return found
