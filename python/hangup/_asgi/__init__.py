"""What :mod:`hangup.asgi` and :mod:`hangup.channels` have in common: one client of an ASGI server."""
