"""Faults, each planted into a deployment that has none, and that deployment's sound twin."""

from __future__ import annotations

from typing import NamedTuple

from doctor.projects import (
    APP,
    BEHIND_NGINX,
    CHANNELS,
    FLASK,
    NGINX,
    ROUTES,
    START,
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

PLANTED = [
    Planted("HUP100", "gunicorn.conf.py:1", conf("workers = = 2"), conf("workers = 1", GTHREAD, THREADS)),
    Planted("HUP101", "gunicorn.conf.py:0", conf(""), conf(GUARDED)),
    Planted("HUP101", "gunicorn.conf.py:1", conf('worker_class = "sync"'), conf(GTHREAD, THREADS)),
    Planted("HUP101", "gunicorn.conf.py:0", conf("import hangup.gunicorn"), conf("import hangup.gunicorn", "hangup.gunicorn.install(globals())")),
    Planted("HUP101", "Procfile:1",
            {**without(FLASK, "gunicorn.conf.py"), "Procfile": "web: gunicorn app:app\n"},
            {**without(FLASK, "gunicorn.conf.py"), "Procfile": "web: gunicorn -c python:hangup.gunicorn app:app\n"}),
    Planted("HUP102", "gunicorn.conf.py:3", conf(GTHREAD, THREADS, "reload = True"), conf(GTHREAD, THREADS, "reload = False")),
    Planted("HUP102", "start.sh:4",
            {**FLASK, "start.sh": "#!/bin/sh\nset -e\n# reload\nexec gunicorn \\\n  --reload app:app\n"},
            {**FLASK, "start.sh": "#!/bin/sh\nset -e\n# --reload\nexec gunicorn \\\n  app:app\n"}),
    Planted("HUP102", "Dockerfile:3",
            {**FLASK, "Dockerfile": 'FROM python:3.12\nENV THREADS=128\nCMD ["gunicorn", "--reload", "app:app"]\n'},
            {**FLASK, "Dockerfile": 'FROM python:3.12\nENV THREADS=128\nCMD ["gunicorn", "app:app"]\n',
             "Dockerfile.dev": 'FROM python:3.12\nCMD ["gunicorn", "--reload", "app:app"]\n'}),
    Planted("HUP103", "gunicorn.conf.py:2", conf(GTHREAD, "threads = 4"), conf(GUARDED, GTHREAD, "threads = 4")),
    Planted("HUP103", "Procfile:1",
            {**FLASK, "Procfile": "web: gunicorn --threads 4 app:app\n"},
            {**FLASK, "Procfile": "web: gunicorn --threads ${THREADS:-200} app:app\n"}),
    Planted("HUP104", "gunicorn.conf.py:3",
            app('async_mode="threading", message_queue="redis://"', conf(GTHREAD, THREADS, "workers = 4")),
            app('async_mode="threading", message_queue="redis://", transports=["websocket"]', conf(GTHREAD, THREADS, "workers = 4"))),
    Planted("HUP105", "app.py:5",
            app('async_mode="threading", transports=["websocket"]', conf(GTHREAD, THREADS, "workers = 2 * 2")),
            app('async_mode="threading", transports=["websocket"], client_manager=RedisManager("redis://")', conf(GTHREAD, THREADS, "workers = 4"))),
    Planted("HUP105", "app.py:5", changed(TWO_SERVERS, app_py=(', message_queue="redis://"', "")), TWO_SERVERS),
    Planted("HUP106", "gunicorn.conf.py:3", conf(GTHREAD, THREADS, "worker_connections = 100"), conf(GTHREAD, THREADS, "worker_connections = 500")),
    Planted("HUP107", "gunicorn.conf.py:3", conf(GTHREAD, THREADS, "timeout = 0"), conf(GTHREAD, THREADS, "timeout = 120")),
    Planted("HUP108", "gunicorn.conf.py:0",
            nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n            keepalive 16;"),
            {**nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n            keepalive 16;"), "gunicorn.conf.py": STOCK + "keepalive = 75\n"}),
    Planted("HUP109", "compose.yaml:4", {**FLASK, "compose.yaml": COMPOSE}, {**FLASK, "compose.yaml": COMPOSE.replace("10s", "45s")}),
    Planted("HUP110", "gunicorn.conf.py:2",
            app('async_mode="gevent"', pins("simple-websocket==1.1.0", "gevent-websocket==0.10.1", conf(GEVENT, "preload_app = True"))),
            app('async_mode="gevent"', pins("simple-websocket==1.1.0", "gevent-websocket==0.10.1", conf(GEVENT, "preload_app = False")))),
    Planted("HUP111", "gunicorn.conf.py:2",
            {**PLAIN, "gunicorn.conf.py": "workers = 4\nmax_requests = 1000\n"},
            {**PLAIN, "gunicorn.conf.py": "workers = 4\nmax_requests = 1000\nmax_requests_jitter = 100\n"}),
    Planted("HUP112", "gunicorn.conf.py:3", conf(GTHREAD, THREADS, "max_requests = 1000"), conf(GUARDED, GTHREAD, THREADS, "max_requests = 1000")),
    Planted("HUP113", "gunicorn.conf.py:5",
            {**PLAIN, "gunicorn.conf.py": GUARDED + "workers = 1\n\n\ndef on_starting(server):\n    pass\n"},
            {**PLAIN, "gunicorn.conf.py": GUARDED + "workers = 1\n\n\ndef when_ready(server):\n    pass\n"}),
    Planted("HUP114", "gunicorn.conf.py:2",
            {**PLAIN, "gunicorn.conf.py": GEVENT + "\nthreads = 4\n"}, {**PLAIN, "gunicorn.conf.py": GEVENT + "\nworker_connections = 500\n"}),
    Planted("HUP115", "gunicorn.conf.py:3",
            {**PLAIN, "gunicorn.conf.py": GUARDED + '\nworker_class = "tornado"\n'}, {**PLAIN, "gunicorn.conf.py": GUARDED + "\n" + GEVENT + "\n"}),
    Planted("HUP115", "gunicorn.conf.py:2",
            {**PLAIN, "gunicorn.conf.py": GUARDED + 'certfile = "a.pem"\n'}, {**PLAIN, "gunicorn.conf.py": GUARDED + "certfile = None\n"}),
    Planted("HUP116", "Dockerfile:2",
            {**FLASK, "Dockerfile": "FROM python:3.12\nCMD gunicorn --daemon app:app\n"},
            {**FLASK, "Dockerfile": "FROM python:3.12\nCMD exec gunicorn app:app\n"}),
    Planted("HUP117", "Procfile:1",
            {"Procfile": "web: flask --app app run --host 0.0.0.0\n"}, {"Procfile": "web: gunicorn app:app\nrelease: flask db upgrade\n"}),
    Planted("HUP118", "Procfile:1",
            {**conf(GUARDED, GTHREAD, THREADS), "Procfile": "web: HANGUP=observe gunicorn app:app\n"},
            {**conf(GUARDED, GTHREAD, THREADS), "Procfile": "web: HANGUP=on gunicorn app:app\n"}),
    Planted("HUP119", "nginx.conf:17",
            {**PLAIN, "nginx.conf": NGINX.replace("        proxy_read_timeout 1h;\n", ""), "gunicorn.conf.py": "timeout = 120\n"},
            {**PLAIN, "nginx.conf": NGINX, "gunicorn.conf.py": "timeout = 120\n"}),
    Planted("HUP201", "app.py:5", app('async_mode="gevent"'), app('async_mode="threading"')),
    Planted("HUP201", "app.py:5",
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet==0.40.0", conf('worker_class = "eventlet"')),
            app('async_mode="eventlet"', pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet==0.40.0", conf('worker_class = "eventlet"')))),
    Planted("HUP202", "app.py:5",
            changed(pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet"), app_py=(', async_mode="threading"', "")),
            changed(FLASK, app_py=(', async_mode="threading"', ""))),
    Planted("HUP203", "app.py:5",
            app('async_mode="eventlet", message_queue="redis://"', without(FLASK, "gunicorn.conf.py")),
            {**without(FLASK, "gunicorn.conf.py"), "app.py": "import eventlet\neventlet.monkey_patch()\n" + APP.replace('"threading"', '"eventlet", message_queue="redis://"')}),
    Planted("HUP204", "app.py:2",
            {**FLASK, "app.py": "import gevent.monkey\ngevent.monkey.patch_all()\n" + APP}, {**FLASK, "app.py": "import gevent.monkey\n" + APP}),
    Planted("HUP205", "app.py:6",
            {**FLASK, "app.py": "from flask import session\n" + APP.replace('"threading"', '"threading", cors_allowed_origins="*"')},
            app('async_mode="threading", cors_allowed_origins="*"')),
    Planted("HUP206", "app.py:5", app('async_mode="threading", ping_timeout=60000'), app('async_mode="threading", ping_timeout=60')),
    Planted("HUP207", "app.py:5", app('async_mode="threading", ping_timeout=2'), app('async_mode="threading", ping_timeout=8')),
    Planted("HUP208", "gunicorn.conf.py:1",
            {**FLASK, "app.py": 'import socketio\nsio = socketio.AsyncServer(async_mode="asgi")\n'},
            {**FLASK, "app.py": 'import socketio\nsio = socketio.AsyncServer(async_mode="asgi")\n', "gunicorn.conf.py": 'worker_class = "uvicorn.workers.UvicornWorker"\n'}),
    Planted("HUP209", "app.py:5", app('async_mode="threading", max_http_buffer_size=10**8'.replace("10**8", "100_000_000")), app('async_mode="threading", max_http_buffer_size=5_000_000')),
    Planted("HUP210", "app.py:5", app('async_mode="threading", engineio_logger=True'), app('async_mode="threading", engineio_logger=False')),
    Planted("HUP211", "templates/index.html:1", {**FLASK, "templates/index.html": PAGE.replace("4.7.5", "2.3.0")}, {**FLASK, "templates/index.html": PAGE}),
    Planted("HUP301", "gunicorn.conf.py:0", FLASK, conf(GTHREAD, THREADS, "worker_connections = 500"), (1024, 4096)),
    Planted("HUP302", "gunicorn.conf.py:0", FLASK, conf(GTHREAD, THREADS, "backlog = 128"), (65536, 128)),
    Planted("HUP400", "nginx.conf:28", {**BEHIND_NGINX, "nginx.conf": NGINX + "}\n"}, BEHIND_NGINX),
    Planted("HUP401", "nginx.conf:17", nginx("            proxy_set_header Upgrade $http_upgrade;\n"), BEHIND_NGINX),
    Planted("HUP402", "nginx.conf:17", nginx("            proxy_set_header Connection $connection_upgrade;\n"), nginx("$connection_upgrade;", '"Upgrade";')),
    Planted("HUP403", "nginx.conf:17", nginx("            proxy_http_version 1.1;\n"), nginx("        listen 8080;", "        listen 8080;\n        proxy_http_version 1.1;", nginx("            proxy_http_version 1.1;\n"))),
    Planted("HUP404", "nginx.conf:17",
            {**BEHIND_NGINX, "feed.py": 'KIND = "text/event-stream"\n'},
            {**BEHIND_NGINX, "feed.py": 'KIND = "text/event-stream"\nHEADERS = {"X-Accel-Buffering": "no"}\n'}),
    Planted("HUP405", "nginx.conf:24", nginx("1h", "20"), nginx("1h", "1m30s")),
    Planted("HUP406", "nginx.conf:24", nginx("1h", "30s"), nginx("1h", "50s")),
    Planted("HUP407", "nginx.conf:24",
            {**nginx("1h", "60s"), "app.py": FLASK_SOCK.replace('app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}', "")},
            {**nginx("1h", "60s"), "app.py": FLASK_SOCK}),
    Planted("HUP408", "nginx.conf:9", changed(TWO_SERVERS, nginx_conf=("ip_hash;\n", "\n")), TWO_SERVERS),
    Planted("HUP409", "nginx.conf:17", nginx("            proxy_set_header Host $http_host;\n"),
            app('async_mode="threading", cors_allowed_origins=["https://board.example"]', nginx("            proxy_set_header Host $http_host;\n"))),
    Planted("HUP409", "nginx.conf:17", nginx("listen 8080;", "listen 8443 ssl;"),
            nginx("listen 8080;", "listen 8443 ssl;", nginx("proxy_set_header Host $http_host;", "proxy_set_header Host $http_host;\n            proxy_set_header X-Forwarded-Proto $scheme;"))),
    Planted("HUP410", "nginx.conf:17", nginx("            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"), nginx("X-Forwarded-For $proxy_add_x_forwarded_for", "X-Real-IP $remote_addr")),
    Planted("HUP411", "nginx.conf:24",
            {**nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n        keepalive 8;", nginx("$connection_upgrade;", '"upgrade";')), "gunicorn.conf.py": STOCK + "keepalive = 75\n"},
            {**nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n        keepalive 8;"), "gunicorn.conf.py": STOCK + "keepalive = 75\n"}),
    Planted("HUP412", "nginx.conf:17",
            app('async_mode="threading", max_http_buffer_size=5 * 1024 * 1024', BEHIND_NGINX),
            app('async_mode="threading", max_http_buffer_size=5 * 1024 * 1024', nginx("listen 8080;", "listen 8080;\n        client_max_body_size 8m;"))),
    Planted("HUP413", "nginx.conf:2", nginx("4096", "128"), nginx("4096", "1024")),
    Planted("HUP500", "board.service:13", unit("RestartSec=5\n", "RestartSec=5\nrestart the thing\n"), unit("RestartSec=5\n", "RestartSec=5\n; restart the thing\n")),
    Planted("HUP501", "board.service:13", unit("RestartSec=5\n", "RestartSec=5\nWatchdogSec=30\n"), unit("RestartSec=5\n", "RestartSec=5\nWatchdogSec=0\n")),
    Planted("HUP502", "board.service:6", unit("Type=notify", "Type=forking"), unit("gunicorn app:app", "gunicorn --daemon --pid /run/a app:app", unit("Type=notify", "Type=forking"))),
    Planted("HUP503", "board.service:6", changed(UVICORN_UNIT, board_service=("Type=exec", "Type=notify")), UVICORN_UNIT),
    Planted("HUP503", "board.service:6",
            unit("/usr/bin/env gunicorn app:app", "/bin/sh -c 'cd /srv; gunicorn app:app'"), unit("/usr/bin/env gunicorn app:app", "/bin/sh -c 'exec gunicorn app:app'")),
    Planted("HUP504", "board.service:0", unit("Type=notify\n"), UNDER_SYSTEMD),
    Planted("HUP505", "board.service:0", unit("LimitNOFILE=65536\n"), UNDER_SYSTEMD),
    Planted("HUP505", "board.service:8", unit("LimitNOFILE=65536", "LimitNOFILE=256:4096"), {**unit("LimitNOFILE=65536\n"), "board.service.d/limits.conf": "[Service]\nLimitNOFILE=infinity\n"}),
    Planted("HUP506", "board.service:9", unit("KillMode=mixed", "KillMode=process"), unit("KillMode=mixed", "KillMode=control-group")),
    Planted("HUP507", "board.service:10", unit("TimeoutStopSec=40", "TimeoutStopSec=10s"), unit("TimeoutStopSec=40", "TimeoutStopSec=1min 5s")),
    Planted("HUP508", "board.service:0", unit("Restart=on-failure\n"), unit("Restart=on-failure", "Restart=always")),
    Planted("HUP509", "board.service:0", unit("RestartSec=5\n"), unit("RestartSec=5\n", files=unit("After=network.target", "StartLimitIntervalSec=0"))),
    Planted("HUP510", "board.service:13", unit("RestartSec=5\n", "RestartSec=5\nStartLimitIntervalSec=60\n"), unit("After=network.target", "StartLimitIntervalSec=20")),
    Planted("HUP600", "board/settings.py:1", channels(settings_py=("INSTALLED_APPS =", "INSTALLED_APPS = =")), CHANNELS),
    Planted("HUP601", "board/settings.py:2",
            {**channels(settings_py=('DisconnectMiddleware",', 'DisconnectMiddleware",\n    "board.middleware.Hasty",')), "board/middleware.py": "class Hasty:\n    def process_exception(self, request, exception):\n        pass\n"},
            {**channels(settings_py=('DisconnectMiddleware",', 'DisconnectMiddleware",\n    "board.middleware.Quiet",')), "board/middleware.py": "class Quiet:\n    def process_view(self, request, exception):\n        pass\n"}),
    Planted("HUP602", "board/settings.py:2", channels(settings_py=('    "hangup.django.DisconnectMiddleware",\n', "")), channels(settings_py=(', "hangup.django"]', "]"))),
    Planted("HUP603", "board/settings.py:7",
            channels(settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"), Procfile=("uvicorn", "uvicorn --workers 4")),
            channels(settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"))),
    Planted("HUP603", "board/settings.py:7",
            channels(settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"), Procfile=("web:", "http: gunicorn board.wsgi\nweb:")),
            channels(Procfile=("web:", "http: gunicorn board.wsgi\nweb:"))),
    Planted("HUP604", "Procfile:1", changed(GUNICORN_CHANNELS, Procfile=("-k uvicorn.workers.UvicornWorker ", "")), GUNICORN_CHANNELS),
    Planted("HUP605", "Procfile:1", channels(Procfile=("uvicorn --ws hangup.uvicorn:WebSocketProtocol board.asgi:application", "gunicorn board.wsgi")),
            channels(Procfile=("web:", "http: gunicorn board.wsgi\nweb:"))),
    Planted("HUP606", "board/settings.py:8",
            {**channels(settings_py=('.sqlite3"', '.sqlite3", "ATOMIC_REQUESTS": True')), "board/views.py": "async def feed(request):\n    pass\n"},
            {**channels(settings_py=('.sqlite3"', '.sqlite3", "ATOMIC_REQUESTS": True')), "board/views.py": "def feed(request):\n    pass\n"}),
    Planted("HUP607", "board/settings.py:9", {**CHANNELS, "board/settings.py": CHANNELS["board/settings.py"] + 'HANGUP = {"LOG": "shout"}\n'},
            {**CHANNELS, "board/settings.py": CHANNELS["board/settings.py"] + 'HANGUP = {"LOG": "drop"}\n'}),
    Planted("HUP608", "board/consumers.py:1", {**channels(settings_py=("CHANNEL_LAYERS", "LAYERS")), "board/consumers.py": 'self.channel_layer.group_add("a", "b")\n'},
            {**CHANNELS, "board/consumers.py": 'self.channel_layer.group_add("a", "b")\n'}),
    Planted("HUP701", "gunicorn.conf.py:1",
            app('async_mode="eventlet"', pins("gunicorn==25.3.0", "gunicorn==26.1.0", conf('worker_class = "eventlet"'))), app('async_mode="eventlet"', conf('worker_class = "eventlet"'))),
    Planted("HUP702", "requirements.txt:4", app('async_mode="gevent"', conf(GEVENT)), app('async_mode="gevent"', conf(GUARDED, GEVENT))),
    Planted("HUP703", "requirements.txt:5", pins("gunicorn==25.3.0", "gunicorn==27.0.1"), pins("gunicorn==25.3.0", "gunicorn==27.0.1", conf(GUARDED, GTHREAD, THREADS))),
    Planted("HUP704", "requirements.txt:6",
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\ngevent==23.9.1", {**PLAIN, "gunicorn.conf.py": GEVENT + "\n"}),
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\ngevent==24.11.1", {**PLAIN, "gunicorn.conf.py": GEVENT + "\n"})),
    Planted("HUP705", "requirements.txt:2", pins("python-socketio==5.18.1", "python-socketio==4.6.1", pins("python-engineio==4.15.1", "python-engineio==3.14.2")),
            pins("python-socketio==5.18.1", "python-socketio==4.6.1", pins("python-engineio==4.15.1", "python-engineio==3.14.2", pins("flask-socketio==5.7.0", "flask-socketio==4.3.2")))),
    Planted("HUP706", "requirements.txt:5", pins("gunicorn==25.3.0", "gunicorn==21.2.0", BEHIND_NGINX), pins("gunicorn==25.3.0", "gunicorn==22.0.0", BEHIND_NGINX)),
    Planted("HUP707", "requirements.txt:5", pins("gunicorn==25.3.0", "gunicorn==20.1.0", conf(GUARDED, GTHREAD, THREADS)), pins("gunicorn==25.3.0", "gunicorn==21.2.0", conf(GUARDED, GTHREAD, THREADS))),
    Planted("HUP708", "requirements.txt:3", pins("python-engineio==4.15.1", "python-engineio==4.8.0"), pins("python-engineio==4.15.1", "python-engineio==4.8.0", conf(GUARDED, GTHREAD, THREADS))),
    Planted("HUP709", "gunicorn.conf.py:3", pins("gunicorn==25.3.0", "gunicorn==23.0.0", conf(GTHREAD, THREADS, 'certfile = "a.pem"')), conf(GTHREAD, THREADS, 'certfile = "a.pem"')),
]  # fmt: skip

__all__ = ["PLANTED", "ROUTES", "START", "Planted"]
