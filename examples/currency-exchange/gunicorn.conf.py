import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = 1  # the Socket.IO sessions live in this process
threads = 10
worker_class = "gthread"
timeout = 60
graceful_timeout = 30
keepalive = 75  # nginx keeps its connections for 60 s
accesslog = os.path.join(os.environ.get("LOGS_DIRECTORY", "."), "access.log")
pidfile = os.path.join(os.environ.get("RUNTIME_DIRECTORY", "."), "gunicorn.pid")


def post_worker_init(worker):
    import app

    app.start_background_tasks()


import hangup.gunicorn

hangup.gunicorn.install(globals(), metrics=os.environ.get("METRICS", "127.0.0.1:9117"))
