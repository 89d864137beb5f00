import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"
workers = 1  # the Socket.IO sessions live in this process
threads = 4
worker_class = "gthread"
timeout = 60
graceful_timeout = 10
keepalive = 75
accesslog = "-"


def post_worker_init(worker):
    import app

    app.start_background_tasks()


import hangup.gunicorn

hangup.gunicorn.install(globals())
