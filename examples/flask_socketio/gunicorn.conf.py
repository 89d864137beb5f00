"""The whole change to an existing configuration is the first line."""

from hangup.gunicorn import *

worker_class = "gthread"
threads = 50  # of which each WebSocket client holds one
