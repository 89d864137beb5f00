"""HUP6xx: Django and Channels."""

from __future__ import annotations

from doctor.planting import GUNICORN_CHANNELS, Planted, channels
from doctor.projects import CHANNELS, changed

PLANTED = [
    Planted(
        "HUP600",
        "board/settings.py:1",
        channels(settings_py=("INSTALLED_APPS =", "INSTALLED_APPS = =")),
        CHANNELS,
    ),
    Planted(
        "HUP601",
        "board/settings.py:2",
        {
            **channels(
                settings_py=(
                    'DisconnectMiddleware",',
                    'DisconnectMiddleware",\n    "board.middleware.Hasty",',
                )
            ),
            "board/middleware.py": "class Hasty:\n    def process_exception(self, request, exception):\n        pass\n",
        },
        {
            **channels(
                settings_py=(
                    'DisconnectMiddleware",',
                    'DisconnectMiddleware",\n    "board.middleware.Quiet",',
                )
            ),
            "board/middleware.py": "class Quiet:\n    def process_view(self, request, exception):\n        pass\n",
        },
    ),
    Planted(
        "HUP602",
        "board/settings.py:2",
        channels(settings_py=('    "hangup.django.DisconnectMiddleware",\n', "")),
        channels(settings_py=(', "hangup.django"]', "]")),
    ),
    Planted(
        "HUP603",
        "board/settings.py:7",
        channels(
            settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"),
            Procfile=("uvicorn", "uvicorn --workers 4"),
        ),
        channels(
            settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer")
        ),
    ),
    Planted(
        "HUP603",
        "board/settings.py:7",
        channels(
            settings_py=("channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"),
            Procfile=("web:", "http: gunicorn board.wsgi\nweb:"),
        ),
        channels(Procfile=("web:", "http: gunicorn board.wsgi\nweb:")),
    ),
    Planted(
        "HUP604",
        "Procfile:1",
        changed(GUNICORN_CHANNELS, Procfile=("-k uvicorn.workers.UvicornWorker ", "")),
        GUNICORN_CHANNELS,
    ),
    Planted(
        "HUP605",
        "Procfile:1",
        channels(
            Procfile=(
                "uvicorn --ws hangup.uvicorn:WebSocketProtocol board.asgi:application",
                "gunicorn board.wsgi",
            )
        ),
        channels(Procfile=("web:", "http: gunicorn board.wsgi\nweb:")),
    ),
    Planted(
        "HUP606",
        "board/settings.py:8",
        {
            **channels(settings_py=('.sqlite3"', '.sqlite3", "ATOMIC_REQUESTS": True')),
            "board/views.py": "async def feed(request):\n    pass\n",
        },
        {
            **channels(settings_py=('.sqlite3"', '.sqlite3", "ATOMIC_REQUESTS": True')),
            "board/views.py": "def feed(request):\n    pass\n",
        },
    ),
    Planted(
        "HUP607",
        "board/settings.py:9",
        {**CHANNELS, "board/settings.py": CHANNELS["board/settings.py"] + 'HANGUP = {"LOG": "shout"}\n'},
        {**CHANNELS, "board/settings.py": CHANNELS["board/settings.py"] + 'HANGUP = {"LOG": "drop"}\n'},
    ),
    Planted(
        "HUP608",
        "board/consumers.py:1",
        {
            **channels(settings_py=("CHANNEL_LAYERS", "LAYERS")),
            "board/consumers.py": 'self.channel_layer.group_add("a", "b")\n',
        },
        {**CHANNELS, "board/consumers.py": 'self.channel_layer.group_add("a", "b")\n'},
    ),
]
