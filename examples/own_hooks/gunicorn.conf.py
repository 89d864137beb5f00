"""A configuration that has hooks of its own: they are called after hangup's."""

import hangup.gunicorn

worker_class = "gthread"
threads = 4


def on_starting(server):
    """Any hook that you had before."""
    server.log.info("the application's own on_starting")


hangup.gunicorn.install(globals())  # at the end, when all hooks are defined
