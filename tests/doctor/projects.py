"""Deployments without a fault, to plant one in."""

from __future__ import annotations

import textwrap


def text(content: str) -> str:
    """A file, from an indented text."""
    return textwrap.dedent(content).lstrip("\n")


REQUIREMENTS = text("""
    flask-socketio==5.7.0
    python-socketio==5.18.1
    python-engineio==4.15.1
    simple-websocket==1.1.0
    gunicorn==25.3.0
""")
APP = text("""
    from flask import Flask
    from flask_socketio import SocketIO

    app = Flask(__name__)
    socketio = SocketIO(app, async_mode="threading")
""")
STOCK = text("""
    worker_class = "gthread"
    threads = 128
""")
NGINX = text("""
    events {
        worker_connections 4096;
    }
    http {
        map $http_upgrade $connection_upgrade {
            default upgrade;
            '' close;
        }
        upstream board {
            server 127.0.0.1:8000;
        }
        server {
            listen 8080;
            location /static/ {
                root /srv/board;
            }
            location / {
                proxy_pass http://board;
                proxy_http_version 1.1;
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $connection_upgrade;
                proxy_read_timeout 1h;
            }
        }
    }
""")
UNIT = text("""
    [Unit]
    Description=board
    After=network.target

    [Service]
    Type=notify
    ExecStart=/usr/bin/env gunicorn app:app
    LimitNOFILE=65536
    KillMode=mixed
    TimeoutStopSec=40
    Restart=on-failure
    RestartSec=5

    [Install]
    WantedBy=multi-user.target
""")
FLASK = {"app.py": APP, "requirements.txt": REQUIREMENTS, "gunicorn.conf.py": STOCK}
BEHIND_NGINX = {**FLASK, "nginx.conf": NGINX}
UNDER_SYSTEMD = {**FLASK, "board.service": UNIT}

SETTINGS = text("""
    INSTALLED_APPS = ["channels", "hangup.django"]
    MIDDLEWARE = [
        "django.middleware.common.CommonMiddleware",
        "hangup.django.DisconnectMiddleware",
    ]
    ASGI_APPLICATION = "site.asgi.application"
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3"}}
""")
START = text("""
    import os
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "board.settings")
""")
ROUTES = text("""
    from channels.routing import URLRouter
    from django.urls import path

    application = URLRouter([path("ws/board", BoardConsumer.as_asgi())])
""")
CHANNELS = {
    "manage.py": START,
    "board/asgi.py": START + ROUTES,
    "board/settings.py": SETTINGS,
    "requirements.txt": "django==5.2\nchannels==4.3.2\nuvicorn==0.40.0\n",
    "Procfile": "web: uvicorn --ws hangup.uvicorn:WebSocketProtocol board.asgi:application\n",
}


def changed(files: dict[str, str], **changes: tuple[str, str]) -> dict[str, str]:
    """A deployment with one text of a file replaced; ``app_py`` is ``app.py``."""
    result = dict(files)
    for name, (old, new) in changes.items():
        path = next(path for path in files if path.rpartition("/")[2].replace(".", "_") == name)
        assert old in result[path], (path, old)
        result[path] = result[path].replace(old, new, 1)
    return result


def without(files: dict[str, str], *names: str) -> dict[str, str]:
    """A deployment without some of its files."""
    return {path: content for path, content in files.items() if path not in names}
