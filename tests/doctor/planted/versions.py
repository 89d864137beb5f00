"""HUP7xx: versions."""

from __future__ import annotations

from doctor.planting import GEVENT, GTHREAD, GUARDED, PLAIN, THREADS, Planted, app, channels, conf, pins
from doctor.projects import BEHIND_NGINX

PLANTED = [
    Planted(
        "HUP707",
        "requirements.txt:3",
        channels(requirements_txt=("uvicorn==0.40.0", "uvicorn==0.35.0")),
        channels(requirements_txt=("uvicorn==0.40.0", "uvicorn==0.36.0")),
    ),
    Planted(
        "HUP701",
        "gunicorn.conf.py:1",
        app(
            'async_mode="eventlet"',
            pins("gunicorn==25.3.0", "gunicorn==26.1.0", conf('worker_class = "eventlet"')),
        ),
        app('async_mode="eventlet"', conf('worker_class = "eventlet"')),
    ),
    Planted(
        "HUP702",
        "requirements.txt:4",
        app('async_mode="gevent"', conf(GEVENT)),
        app('async_mode="gevent"', conf(GUARDED, GEVENT)),
    ),
    Planted(
        "HUP703",
        "requirements.txt:5",
        pins("gunicorn==25.3.0", "gunicorn==27.0.1"),
        pins("gunicorn==25.3.0", "gunicorn==27.0.1", conf(GUARDED, GTHREAD, THREADS)),
    ),
    Planted(
        "HUP704",
        "requirements.txt:6",
        pins(
            "gunicorn==25.3.0",
            "gunicorn==25.3.0\ngevent==23.9.1",
            {**PLAIN, "gunicorn.conf.py": GEVENT + "\n"},
        ),
        pins(
            "gunicorn==25.3.0",
            "gunicorn==25.3.0\ngevent==24.11.1",
            {**PLAIN, "gunicorn.conf.py": GEVENT + "\n"},
        ),
    ),
    Planted(
        "HUP705",
        "requirements.txt:2",
        pins(
            "python-socketio==5.18.1",
            "python-socketio==4.6.1",
            pins("python-engineio==4.15.1", "python-engineio==3.14.2"),
        ),
        pins(
            "python-socketio==5.18.1",
            "python-socketio==4.6.1",
            pins(
                "python-engineio==4.15.1",
                "python-engineio==3.14.2",
                pins("flask-socketio==5.7.0", "flask-socketio==4.3.2"),
            ),
        ),
    ),
    Planted(
        "HUP706",
        "requirements.txt:5",
        pins("gunicorn==25.3.0", "gunicorn==21.2.0", BEHIND_NGINX),
        pins("gunicorn==25.3.0", "gunicorn==22.0.0", BEHIND_NGINX),
    ),
    Planted(
        "HUP707",
        "requirements.txt:5",
        pins("gunicorn==25.3.0", "gunicorn==20.1.0", conf(GUARDED, GTHREAD, THREADS)),
        pins("gunicorn==25.3.0", "gunicorn==21.2.0", conf(GUARDED, GTHREAD, THREADS)),
    ),
    Planted(
        "HUP708",
        "requirements.txt:3",
        pins("python-engineio==4.15.1", "python-engineio==4.8.0"),
        pins("python-engineio==4.15.1", "python-engineio==4.8.0", conf(GUARDED, GTHREAD, THREADS)),
    ),
    Planted(
        "HUP709",
        "gunicorn.conf.py:3",
        pins("gunicorn==25.3.0", "gunicorn==23.0.0", conf(GTHREAD, THREADS, 'certfile = "a.pem"')),
        conf(GTHREAD, THREADS, 'certfile = "a.pem"'),
    ),
]
