"""The whole change to an existing configuration is the first line."""

from hangup.gunicorn import *

worker_class = "gthread"
threads = 8  # for requests and handlers: browsers that are connected hold none
# On a connection that is kept, an order might come to a worker that is being replaced, whose browsers are gone already.
keepalive = 0
