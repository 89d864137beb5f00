"""HUP1xx: gunicorn."""

from __future__ import annotations

from doctor.planting import (
    COMPOSE,
    GEVENT,
    GTHREAD,
    GUARDED,
    PLAIN,
    THREADS,
    TWO_SERVERS,
    Planted,
    app,
    conf,
    nginx,
    pins,
)
from doctor.projects import FLASK, NGINX, STOCK, changed, without

PLANTED = [
    Planted(
        "HUP109",
        "compose.yaml:4",
        {**FLASK, "compose.yaml": COMPOSE},
        {**conf(GUARDED, GTHREAD, THREADS), "compose.yaml": COMPOSE},
    ),
    Planted("HUP100", "gunicorn.conf.py:1", conf("workers = = 2"), conf("workers = 1", GTHREAD, THREADS)),
    Planted("HUP101", "gunicorn.conf.py:0", conf(""), conf(GUARDED)),
    Planted("HUP101", "gunicorn.conf.py:1", conf('worker_class = "sync"'), conf(GTHREAD, THREADS)),
    Planted(
        "HUP101",
        "gunicorn.conf.py:0",
        conf("import hangup.gunicorn"),
        conf("import hangup.gunicorn", "hangup.gunicorn.install(globals())"),
    ),
    Planted(
        "HUP101",
        "Procfile:1",
        {**without(FLASK, "gunicorn.conf.py"), "Procfile": "web: gunicorn app:app\n"},
        {
            **without(FLASK, "gunicorn.conf.py"),
            "Procfile": "web: gunicorn -c python:hangup.gunicorn app:app\n",
        },
    ),
    Planted(
        "HUP102",
        "gunicorn.conf.py:3",
        conf(GTHREAD, THREADS, "reload = True"),
        conf(GTHREAD, THREADS, "reload = False"),
    ),
    Planted(
        "HUP102",
        "start.sh:4",
        {**FLASK, "start.sh": "#!/bin/sh\nset -e\n# reload\nexec gunicorn \\\n  --reload app:app\n"},
        {**FLASK, "start.sh": "#!/bin/sh\nset -e\n# --reload\nexec gunicorn \\\n  app:app\n"},
    ),
    Planted(
        "HUP102",
        "Dockerfile:3",
        {
            **FLASK,
            "Dockerfile": 'FROM python:3.12\nENV THREADS=128\nCMD ["gunicorn", "--reload", "app:app"]\n',
        },
        {
            **FLASK,
            "Dockerfile": 'FROM python:3.12\nENV THREADS=128\nCMD ["gunicorn", "app:app"]\n',
            "Dockerfile.dev": 'FROM python:3.12\nCMD ["gunicorn", "--reload", "app:app"]\n',
        },
    ),
    Planted(
        "HUP103", "gunicorn.conf.py:2", conf(GTHREAD, "threads = 4"), conf(GUARDED, GTHREAD, "threads = 4")
    ),
    Planted(
        "HUP103",
        "Procfile:1",
        {**FLASK, "Procfile": "web: gunicorn --threads 4 app:app\n"},
        {**FLASK, "Procfile": "web: gunicorn --threads ${THREADS:-200} app:app\n"},
    ),
    Planted(
        "HUP104",
        "gunicorn.conf.py:3",
        app('async_mode="threading", message_queue="redis://"', conf(GTHREAD, THREADS, "workers = 4")),
        app(
            'async_mode="threading", message_queue="redis://", transports=["websocket"]',
            conf(GTHREAD, THREADS, "workers = 4"),
        ),
    ),
    Planted(
        "HUP104",
        "gunicorn.conf.py:2",
        app('async_mode="threading", message_queue="redis://"', conf(GTHREAD, "workers = 4", THREADS)),
        app('async_mode="threading"', conf(GUARDED, GTHREAD, "workers = 4", THREADS)),
    ),
    Planted(
        "HUP105",
        "app.py:5",
        app('async_mode="threading", transports=["websocket"]', conf(GTHREAD, THREADS, "workers = 2")),
        app('async_mode="threading"', conf(GUARDED, GTHREAD, THREADS, "workers = 2")),
    ),
    Planted(
        "HUP105",
        "app.py:5",
        app('async_mode="threading", transports=["websocket"]', conf(GTHREAD, THREADS, "workers = 2 * 2")),
        app(
            'async_mode="threading", transports=["websocket"], client_manager=RedisManager("redis://")',
            conf(GTHREAD, THREADS, "workers = 4"),
        ),
    ),
    Planted(
        "HUP105", "app.py:5", changed(TWO_SERVERS, app_py=(', message_queue="redis://"', "")), TWO_SERVERS
    ),
    Planted(
        "HUP106",
        "gunicorn.conf.py:3",
        conf(GTHREAD, THREADS, "worker_connections = 100"),
        conf(GTHREAD, THREADS, "worker_connections = 500"),
    ),
    Planted(
        "HUP107",
        "gunicorn.conf.py:3",
        conf(GTHREAD, THREADS, "timeout = 0"),
        conf(GTHREAD, THREADS, "timeout = 120"),
    ),
    Planted(
        "HUP108",
        "gunicorn.conf.py:0",
        nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n            keepalive 16;"),
        {
            **nginx("server 127.0.0.1:8000;", "server 127.0.0.1:8000;\n            keepalive 16;"),
            "gunicorn.conf.py": STOCK + "keepalive = 75\n",
        },
    ),
    Planted(
        "HUP109",
        "compose.yaml:4",
        {**FLASK, "compose.yaml": COMPOSE},
        {**FLASK, "compose.yaml": COMPOSE.replace("10s", "45s")},
    ),
    Planted(
        "HUP110",
        "gunicorn.conf.py:2",
        app(
            'async_mode="gevent"',
            pins("simple-websocket==1.1.0", "gevent-websocket==0.10.1", conf(GEVENT, "preload_app = True")),
        ),
        app(
            'async_mode="gevent"',
            pins("simple-websocket==1.1.0", "gevent-websocket==0.10.1", conf(GEVENT, "preload_app = False")),
        ),
    ),
    Planted(
        "HUP111",
        "gunicorn.conf.py:2",
        {**PLAIN, "gunicorn.conf.py": "workers = 4\nmax_requests = 1000\n"},
        {**PLAIN, "gunicorn.conf.py": "workers = 4\nmax_requests = 1000\nmax_requests_jitter = 100\n"},
    ),
    Planted(
        "HUP112",
        "gunicorn.conf.py:3",
        conf(GTHREAD, THREADS, "max_requests = 1000"),
        conf(GUARDED, GTHREAD, THREADS, "max_requests = 1000"),
    ),
    Planted(
        "HUP113",
        "gunicorn.conf.py:5",
        {**PLAIN, "gunicorn.conf.py": GUARDED + "workers = 1\n\n\ndef on_starting(server):\n    pass\n"},
        {**PLAIN, "gunicorn.conf.py": GUARDED + "workers = 1\n\n\ndef when_ready(server):\n    pass\n"},
    ),
    Planted(
        "HUP114",
        "gunicorn.conf.py:2",
        {**PLAIN, "gunicorn.conf.py": GEVENT + "\nthreads = 4\n"},
        {**PLAIN, "gunicorn.conf.py": GEVENT + "\nworker_connections = 500\n"},
    ),
    Planted(
        "HUP115",
        "gunicorn.conf.py:3",
        {**PLAIN, "gunicorn.conf.py": GUARDED + '\nworker_class = "tornado"\n'},
        {**PLAIN, "gunicorn.conf.py": GUARDED + "\n" + GEVENT + "\n"},
    ),
    Planted(
        "HUP115",
        "gunicorn.conf.py:2",
        {**PLAIN, "gunicorn.conf.py": GUARDED + 'certfile = "a.pem"\n'},
        {**PLAIN, "gunicorn.conf.py": GUARDED + "certfile = None\n"},
    ),
    Planted(
        "HUP116",
        "Dockerfile:2",
        {**FLASK, "Dockerfile": "FROM python:3.12\nCMD gunicorn --daemon app:app\n"},
        {**FLASK, "Dockerfile": "FROM python:3.12\nCMD exec gunicorn app:app\n"},
    ),
    Planted(
        "HUP117",
        "Procfile:1",
        {"Procfile": "web: flask --app app run --host 0.0.0.0\n"},
        {"Procfile": "web: gunicorn app:app\nrelease: flask db upgrade\n"},
    ),
    Planted(
        "HUP118",
        "Procfile:1",
        {**conf(GUARDED, GTHREAD, THREADS), "Procfile": "web: HANGUP=observe gunicorn app:app\n"},
        {**conf(GUARDED, GTHREAD, THREADS), "Procfile": "web: HANGUP=on gunicorn app:app\n"},
    ),
    Planted(
        "HUP119",
        "nginx.conf:17",
        {
            **PLAIN,
            "nginx.conf": NGINX.replace("        proxy_read_timeout 1h;\n", ""),
            "gunicorn.conf.py": "timeout = 120\n",
        },
        {**PLAIN, "nginx.conf": NGINX, "gunicorn.conf.py": "timeout = 120\n"},
    ),
]
