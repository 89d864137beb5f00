import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = 4
worker_class = "gthread"
threads = 8  # for requests and handlers: clients that are connected hold none
timeout = 60
graceful_timeout = 30
keepalive = 75  # nginx keeps its connections for 60 s

import hangup.gunicorn

hangup.gunicorn.install(globals(), connection_limit="10/s,burst=20", trusted_proxies="127.0.0.1/32,::1")
