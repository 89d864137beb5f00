"""An ASGI application with :class:`hangup.asgi.Hangup` around it: for servers that have no place for hangup."""

from __future__ import annotations

import os

import hangup
from hangup.asgi import Hangup

from .command import APPLICATION
from .loading import loaded

hangup.install()
_application = loaded(os.environ[APPLICATION])
application = _application if isinstance(_application, Hangup) else Hangup(_application)
