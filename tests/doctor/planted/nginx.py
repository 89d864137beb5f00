"""HUP4xx: nginx."""

from __future__ import annotations

from doctor.planting import FLASK_SOCK, TWO_SERVERS, Planted, app, nginx
from doctor.projects import BEHIND_NGINX, NGINX, STOCK, changed

PLANTED = [
    Planted("HUP400", "nginx.conf:28", {**BEHIND_NGINX, "nginx.conf": NGINX + "}\n"}, BEHIND_NGINX),
    Planted(
        "HUP401",
        "nginx.conf:17",
        nginx("            proxy_set_header Upgrade $http_upgrade;\n"),
        BEHIND_NGINX,
    ),
    Planted(
        "HUP402",
        "nginx.conf:17",
        nginx("            proxy_set_header Connection $connection_upgrade;\n"),
        nginx("$connection_upgrade;", '"Upgrade";'),
    ),
    Planted(
        "HUP403",
        "nginx.conf:17",
        nginx("            proxy_http_version 1.1;\n"),
        nginx(
            "        listen 8080;",
            "        listen 8080;\n        proxy_http_version 1.1;",
            nginx("            proxy_http_version 1.1;\n"),
        ),
    ),
    Planted(
        "HUP404",
        "nginx.conf:17",
        {**BEHIND_NGINX, "feed.py": 'KIND = "text/event-stream"\n'},
        {**BEHIND_NGINX, "feed.py": 'KIND = "text/event-stream"\nHEADERS = {"X-Accel-Buffering": "no"}\n'},
    ),
    Planted("HUP405", "nginx.conf:24", nginx("1h", "20"), nginx("1h", "1m30s")),
    Planted("HUP406", "nginx.conf:24", nginx("1h", "30s"), nginx("1h", "50s")),
    Planted(
        "HUP407",
        "nginx.conf:24",
        {
            **nginx("1h", "60s"),
            "app.py": FLASK_SOCK.replace('app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}', ""),
        },
        {**nginx("1h", "60s"), "app.py": FLASK_SOCK},
    ),
    Planted("HUP408", "nginx.conf:9", changed(TWO_SERVERS, nginx_conf=("ip_hash;\n", "\n")), TWO_SERVERS),
    Planted(
        "HUP409",
        "nginx.conf:17",
        nginx("            proxy_set_header Host $http_host;\n"),
        app(
            'async_mode="threading", cors_allowed_origins=["https://board.example"]',
            nginx("            proxy_set_header Host $http_host;\n"),
        ),
    ),
    Planted(
        "HUP409",
        "nginx.conf:17",
        nginx("listen 8080;", "listen 8443 ssl;"),
        nginx(
            "listen 8080;",
            "listen 8443 ssl;",
            nginx(
                "proxy_set_header Host $http_host;",
                "proxy_set_header Host $http_host;\n            proxy_set_header X-Forwarded-Proto $scheme;",
            ),
        ),
    ),
    Planted(
        "HUP410",
        "nginx.conf:17",
        nginx("            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"),
        nginx("X-Forwarded-For $proxy_add_x_forwarded_for", "X-Real-IP $remote_addr"),
    ),
    Planted(
        "HUP411",
        "nginx.conf:24",
        {
            **nginx(
                "server 127.0.0.1:8000;",
                "server 127.0.0.1:8000;\n        keepalive 8;",
                nginx("$connection_upgrade;", '"upgrade";'),
            ),
            "gunicorn.conf.py": STOCK + "keepalive = 75\n",
        },
        {
            **nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n        keepalive 8;"),
            "gunicorn.conf.py": STOCK + "keepalive = 75\n",
        },
    ),
    Planted(
        "HUP412",
        "nginx.conf:17",
        app('async_mode="threading", max_http_buffer_size=5 * 1024 * 1024', BEHIND_NGINX),
        app(
            'async_mode="threading", max_http_buffer_size=5 * 1024 * 1024',
            nginx("listen 8080;", "listen 8080;\n        client_max_body_size 8m;"),
        ),
    ),
    Planted("HUP413", "nginx.conf:2", nginx("4096", "128"), nginx("4096", "1024")),
]
