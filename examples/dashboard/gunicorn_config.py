"""gunicorn's settings, and what the platform wants to know of the workers."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"
worker_class = "eventlet"
workers = 1  # the Socket.IO sessions live in this process
worker_connections = 1000
timeout = 120
graceful_timeout = 30
keepalive = 75
accesslog = "-"
forwarded_allow_ips = "127.0.0.1"


def on_starting(server):
    server.log.info("dashboard: starting")


def when_ready(server):
    server.log.info("dashboard: ready")


def post_fork(server, worker):
    server.log.info("dashboard: worker %s forked", worker.pid)


def post_worker_init(worker):
    worker.log.info("dashboard: worker %s has its application", worker.pid)


def worker_int(worker):
    worker.log.info("dashboard: worker %s was interrupted", worker.pid)


def worker_abort(worker):
    worker.log.info("dashboard: worker %s was aborted", worker.pid)


def worker_exit(server, worker):
    server.log.info("dashboard: worker %s leaves", worker.pid)


def child_exit(server, worker):
    server.log.info("dashboard: worker %s is gone", worker.pid)


import hangup.gunicorn

hangup.gunicorn.install(globals())
