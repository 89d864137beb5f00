import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django = get_asgi_application()  # before what imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402
from orders.consumers import OrderConsumer  # noqa: E402
from orders.tokens import TokenAuthMiddleware  # noqa: E402

websockets = TokenAuthMiddleware(URLRouter([path("ws/orders", OrderConsumer.as_asgi())]))
application = ProtocolTypeRouter({"http": django, "websocket": websockets})
