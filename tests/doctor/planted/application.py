"""HUP2xx and HUP3xx: Socket.IO, the application, the machine."""

from __future__ import annotations

from doctor.planting import GTHREAD, GUARDED, PAGE, THREADS, Planted, app, conf, pins
from doctor.projects import APP, FLASK, changed, without

PLANTED = [
    Planted("HUP301", "gunicorn.conf.py:0", FLASK, conf(GUARDED, GTHREAD, THREADS), (1024, 4096)),
    Planted("HUP201", "app.py:5", app('async_mode="gevent"'), app('async_mode="threading"')),
    Planted(
        "HUP201",
        "app.py:5",
        app(
            'async_mode="gevent"',
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet==0.40.0", conf('worker_class = "eventlet"')),
        ),
        app(
            'async_mode="threading"',
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet==0.40.0", conf('worker_class = "eventlet"')),
        ),
    ),
    Planted(
        "HUP202",
        "app.py:5",
        changed(
            pins("gunicorn==25.3.0", "gunicorn==25.3.0\neventlet"), app_py=(', async_mode="threading"', "")
        ),
        changed(FLASK, app_py=(', async_mode="threading"', "")),
    ),
    Planted(
        "HUP203",
        "app.py:5",
        app('async_mode="eventlet", message_queue="redis://"', without(FLASK, "gunicorn.conf.py")),
        {
            **without(FLASK, "gunicorn.conf.py"),
            "app.py": "import eventlet\neventlet.monkey_patch()\n"
            + APP.replace('"threading"', '"eventlet", message_queue="redis://"'),
        },
    ),
    Planted(
        "HUP204",
        "app.py:2",
        {**FLASK, "app.py": "import gevent.monkey\ngevent.monkey.patch_all()\n" + APP},
        {**FLASK, "app.py": "import gevent.monkey\n" + APP},
    ),
    Planted(
        "HUP205",
        "app.py:6",
        {
            **FLASK,
            "app.py": "from flask import session\n"
            + APP.replace('"threading"', '"threading", cors_allowed_origins="*"'),
        },
        app('async_mode="threading", cors_allowed_origins="*"'),
    ),
    Planted(
        "HUP206",
        "app.py:5",
        app('async_mode="threading", ping_timeout=60000'),
        app('async_mode="threading", ping_timeout=60'),
    ),
    Planted(
        "HUP207",
        "app.py:5",
        app('async_mode="threading", ping_timeout=2'),
        app('async_mode="threading", ping_timeout=8'),
    ),
    Planted(
        "HUP208",
        "gunicorn.conf.py:1",
        {**FLASK, "app.py": 'import socketio\nsio = socketio.AsyncServer(async_mode="asgi")\n'},
        {
            **FLASK,
            "app.py": 'import socketio\nsio = socketio.AsyncServer(async_mode="asgi")\n',
            "gunicorn.conf.py": 'worker_class = "uvicorn.workers.UvicornWorker"\n',
        },
    ),
    Planted(
        "HUP209",
        "app.py:5",
        app('async_mode="threading", max_http_buffer_size=100_000_000'),
        app('async_mode="threading", max_http_buffer_size=5_000_000'),
    ),
    Planted(
        "HUP210",
        "app.py:5",
        app('async_mode="threading", engineio_logger=True'),
        app('async_mode="threading", engineio_logger=False'),
    ),
    Planted(
        "HUP211",
        "templates/index.html:1",
        {**FLASK, "templates/index.html": PAGE.replace("4.7.5", "2.3.0")},
        {**FLASK, "templates/index.html": PAGE},
    ),
    Planted(
        "HUP301",
        "gunicorn.conf.py:0",
        FLASK,
        conf(GTHREAD, THREADS, "worker_connections = 500"),
        (1024, 4096),
    ),
    Planted("HUP302", "gunicorn.conf.py:0", FLASK, conf(GTHREAD, THREADS, "backlog = 128"), (65536, 128)),
]
