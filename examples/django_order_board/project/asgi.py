"""HTTP is Django's, WebSockets are Channels'."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django = get_asgi_application()  # before what imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import path  # noqa: E402
from orders.consumers import BoardConsumer  # noqa: E402
from orders.tokens import TokenMiddleware  # noqa: E402

websockets = URLRouter([path("ws/board", BoardConsumer.as_asgi())])
application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(django),
        "websocket": AllowedHostsOriginValidator(TokenMiddleware(websockets)),
    }
)
