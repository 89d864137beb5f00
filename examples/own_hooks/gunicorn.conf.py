"""A configuration that has hooks of its own: they are called after hangup's."""

import hangup.gunicorn

worker_class = "gthread"
threads = 4


def on_starting(server):
    """Any hook that you had before."""
    server.log.info("the application's own on_starting")


# At the end, when all hooks are defined. For Prometheus: metrics="127.0.0.1:9117".
hangup.gunicorn.install(globals(), metrics="unix:metrics.sock")
