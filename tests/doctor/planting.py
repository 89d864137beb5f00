"""What plants a fault."""

from __future__ import annotations

from typing import NamedTuple

from doctor.projects import (
    BEHIND_NGINX,
    CHANNELS,
    FLASK,
    STOCK,
    UNDER_SYSTEMD,
    UNIT,
    changed,
    text,
    without,
)


class Planted(NamedTuple):
    """A fault.

    Attributes:
        code: the one rule that finds it.
        place: where it is found.
        files: the deployment.
        sound: the same without the fault: no rule finds anything.
        limits: of the machine, for the faulty one: descriptors and somaxconn.
    """

    code: str
    place: str
    files: dict[str, str]
    sound: dict[str, str]
    limits: tuple[int, int] = (65536, 4096)


GUARDED = "from hangup.gunicorn import *\n"


def conf(*lines: str) -> dict[str, str]:
    """The Flask deployment with a configuration of these lines."""
    return {**FLASK, "gunicorn.conf.py": "".join(f"{line}\n" for line in lines)}


def app(options: str, files: dict[str, str] = FLASK) -> dict[str, str]:
    """The Flask deployment with these options of ``SocketIO``."""
    return changed(files, app_py=('async_mode="threading"', options))


def nginx(old: str, new: str = "", files: dict[str, str] = BEHIND_NGINX) -> dict[str, str]:
    """The one behind nginx, with one text of its configuration replaced."""
    return changed(files, nginx_conf=(old, new))


def unit(old: str, new: str = "", files: dict[str, str] = UNDER_SYSTEMD) -> dict[str, str]:
    """The one under systemd, with one text of its unit replaced."""
    return changed(files, board_service=(old, new))


def channels(**changes: tuple[str, str]) -> dict[str, str]:
    """The one with Channels, changed."""
    return changed(CHANNELS, **changes)


def pins(old: str, new: str, files: dict[str, str] = FLASK) -> dict[str, str]:
    """With another version."""
    return changed(files, requirements_txt=(old, new))


GTHREAD, THREADS = STOCK.splitlines()
GEVENT = 'worker_class = "gevent"'
PLAIN = without(FLASK, "app.py")
COMPOSE = text("""
    services:
      board:
        command: gunicorn app:app
        stop_grace_period: 10s
""")
FLASK_SOCK = text("""
    from flask_sock import Sock

    sock = Sock(app)
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}

    @sock.route("/echo")
    def echo(ws):
        pass
""")
TWO_SERVERS = nginx(
    "server 127.0.0.1:8000;", "ip_hash;\n        server 127.0.0.1:8000;\n        server 127.0.0.1:8001;"
)
TWO_SERVERS = app('async_mode="threading", message_queue="redis://"', TWO_SERVERS)
UVICORN_UNIT = {
    **CHANNELS,
    "board.service": UNIT.replace("gunicorn app:app", "uvicorn board.asgi:application"),
}
UVICORN_UNIT = unit("Type=notify", "Type=exec", without(UVICORN_UNIT, "Procfile"))
GUNICORN_CHANNELS = {
    **without(CHANNELS, "Procfile"),
    "Procfile": "web: gunicorn -k uvicorn.workers.UvicornWorker board.asgi:application\n",
}
PAGE = '<script src="https://cdn.socket.io/4.7.5/socket.io.min.js"></script>\n'
